import type { FastifyInstance } from 'fastify'
import { createLatchkey, type Latchkey, type LatchkeyOptions } from '../../client/src/index.ts'
import { password } from '../helper.ts'
import { Authenticator } from './authenticator.ts'
import type { Test } from './postgres.ts'
import { listeningApp, portOf } from './wire.ts'

export interface Service {
  readonly app: FastifyInstance
  readonly url: string
  /** Seconds since the epoch, for the service and for authenticators. */
  readonly clock: () => number
  /** Advances the clock by a step of codes, so that the next code is good. */
  nextStep(): void
  /** Expires all access tokens. */
  expireTokens(): void
  /** Number of refreshes since the last call. */
  refreshes(): number
}

/** The service on a port and a test clock. */
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
    clock: () => now,
    nextStep: () => {
      now += 30
    },
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

/** Gives the user of a client a second factor; the code of the present step is used up by it. */
export async function enrolCustomer({ clock }: Service, client: Latchkey) {
  const setup = await client.POST('/api/auth/mfa/totp', { body: { password } })
  const authenticator = new Authenticator(setup.data?.secret ?? '', clock)
  const confirmed = await client.POST('/api/auth/mfa/totp/confirm', { body: { code: authenticator.code() } })
  if (!confirmed.data) throw new Error(`confirm answered ${confirmed.response.status}`)
  return { authenticator, recoveryCodes: confirmed.data.recovery_codes }
}

export interface Customer {
  readonly client: Latchkey
  readonly id: string
  /** Number of calls of onSessionEnd. */
  readonly ends: () => number
}

/** A client with a session of a new user. */
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
