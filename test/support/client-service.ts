import type { FastifyInstance } from 'fastify'
import { createLatchkey, type Latchkey, type LatchkeyOptions } from '../../client/src/index.ts'
import { password } from '../helper.ts'
import type { Test } from './postgres.ts'
import { listeningApp, portOf } from './wire.ts'

export interface Service {
  readonly app: FastifyInstance
  readonly url: string
  /** Makes every access token of now one that has expired. */
  expireTokens(): void
  /** How often the service was asked to refresh since this was last called. */
  refreshes(): number
}

/** The service on a port, with a clock that a test turns. */
export async function service(t: Test, extend?: (app: FastifyInstance) => void): Promise<Service> {
  let now = Math.floor(Date.now() / 1000)
  let count = 0
  const app = await listeningApp(t, { clock: () => now, ...(extend ? { extend } : {}) })
  app.server.on('request', ({ url }) => {
    if (url === '/api/auth/refresh') count++
  })
  return {
    app,
    url: `http://127.0.0.1:${portOf(app)}`,
    expireTokens: () => {
      now += 16 * 60
    },
    refreshes: () => {
      const since = count
      count = 0
      return since
    },
  }
}

export interface Customer {
  readonly client: Latchkey
  readonly id: string
  /** How often the app was told that its session is over. */
  readonly ends: () => number
}

/** A client with a session of someone new. */
export async function customer(
  { url }: Service,
  name: string,
  options: Partial<LatchkeyOptions> = {},
): Promise<Customer> {
  let ends = 0
  const client = createLatchkey({ baseUrl: url, onSessionEnd: () => ends++, ...options })
  const { data } = await client.session.signUp({ email: `${name}@example.com`, password, name })
  if (!data || !('user' in data)) throw new Error('signup opened no session')
  return { client, id: data.user.id, ends: () => ends }
}
