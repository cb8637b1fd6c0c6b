import { once } from 'node:events'
import { createServer, type RequestListener, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { betterAuth } from 'better-auth'
import { memoryAdapter } from 'better-auth/adapters/memory'
import { toNodeHandler } from 'better-auth/node'
import { jwt } from 'better-auth/plugins'
import type { Test } from './postgres.ts'

type JwtOptions = NonNullable<Parameters<typeof jwt>[0]>

interface Options {
  readonly jwt?: JwtOptions
  /** Default: a free port. */
  readonly port?: number
}

/** A server on a free port of the loopback that can be stopped and started again. */
export async function listening(t: Test, handler: RequestListener, port = 0) {
  let server: Server | undefined
  const start = async (on: number) => {
    server = createServer(handler).listen(on, '127.0.0.1')
    await once(server, 'listening')
    return (server.address() as AddressInfo).port
  }
  const stop = async () => {
    if (!server?.listening) return
    server.close().closeAllConnections()
    await once(server, 'close')
  }
  const bound = await start(port)
  t.teardown(stop)
  return { origin: `http://127.0.0.1:${bound}`, port: bound, stop, start: () => start(bound) }
}

/** A real Better Auth with its JWT plugin, on a database in memory. */
export async function startBetterAuth(t: Test, { jwt: options = {}, port }: Options = {}) {
  const rows: Record<string, Record<string, unknown>[]> = {
    user: [],
    session: [],
    account: [],
    verification: [],
    jwks: [],
  }
  const mails: string[] = []
  let fetches = 0
  let handler: RequestListener | undefined
  const server = await listening(
    t,
    (request, response) => {
      if (request.url === '/api/auth/jwks') fetches++
      handler?.(request, response)
    },
    port,
  )
  const auth = betterAuth({
    baseURL: server.origin,
    secret: betterAuthSecret,
    database: memoryAdapter(rows),
    telemetry: { enabled: false },
    logger: { disabled: true },
    rateLimit: { enabled: false },
    emailAndPassword: { enabled: true },
    emailVerification: {
      sendOnSignUp: true,
      sendVerificationEmail: async ({ token }) => void mails.push(token),
    },
    session: { cookieCache: { enabled: true, strategy: 'jwt' } },
    plugins: [jwt({ sessionCookieCache: !options.jwt?.sign, ...options })],
  })
  handler = toNodeHandler(auth)

  const post = (path: string, body: object) =>
    fetch(`${server.origin}/api/auth${path}`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: server.origin },
      body: JSON.stringify(body),
    })

  /** A user of Better Auth; `cookies` by name. */
  async function signUp(name: string) {
    const email = `${name}@example.com`
    const answer = await post('/sign-up/email', { email, name, password: 'password123' })
    if (!answer.ok) throw new Error(`sign-up answered ${answer.status}`)
    const pairs = answer.headers.getSetCookie().map((cookie) => cookie.split(';')[0] ?? '')
    const cookies = Object.fromEntries(pairs.map((pair) => pair.split(/=(.*)/s) as [string, string]))
    const { token: sessionToken, user } = (await answer.json()) as { token: string; user: { id: string } }
    const token = async () => {
      const headers = { cookie: pairs.join('; ') }
      const given = await fetch(`${server.origin}/api/auth/token`, { headers })
      return ((await given.json()) as { token: string }).token
    }
    return { id: user.id, email, name, sessionToken, cookies, token }
  }

  return {
    ...server,
    auth,
    signUp,
    mails,
    /** The next token is signed by a new key. */
    rotate: () => {
      rows['jwks'] = []
    },
    get fetches() {
      return fetches
    },
  }
}

export const betterAuthSecret = 'f0N2kq8XvR5tYw7ZbC3mJ6hP9sD1gL4e'
