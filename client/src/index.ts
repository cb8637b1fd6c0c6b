import createClient, { type Client, type FetchResponse } from 'openapi-fetch'
import { keepDevice, memoryDevice, proofFor } from './device.ts'
import { createKeeper, type Keeper } from './keeper.ts'
import { codeOf } from './problem.ts'
import type { components, paths } from './schema.ts'
import {
  type DeviceStorage,
  type KeptSession,
  memoryStorage,
  type SessionStorage,
  type User,
} from './storage.ts'

export { isProblem, type Problem, type ProblemCode } from './problem.ts'
export type { components, operations, paths } from './schema.ts'
export {
  type DeviceStorage,
  type KeptDevice,
  type KeptSession,
  memoryStorage,
  type SessionStorage,
  type User,
  webStorage,
} from './storage.ts'

/** The schemas of the contract: `Schemas['Task']`. */
export type Schemas = components['schemas']

export interface LatchkeyOptions {
  /** URL of the service, with the gateway's prefix. */
  readonly baseUrl: string
  /** Default: in memory. */
  readonly storage?: SessionStorage
  /** Called once when a session has ended other than by `logOut`: show the login. */
  readonly onSessionEnd?: () => void
  readonly fetch?: (request: Request) => Promise<Response>
}

type Answer<Path extends keyof paths> = Promise<
  FetchResponse<
    paths[Path] extends { post: infer Post extends object } ? Post : never,
    object,
    `${string}/${string}`
  >
>

export interface LatchkeySession {
  /**
   * Signs up and stores the session. With an `idempotencyKey`, best a UUID, a signup whose response was lost can be
   * retried.
   */
  signUp(body: Schemas['SignUp'], options?: { readonly idempotencyKey?: string }): Answer<'/api/auth/signup'>
  /**
   * Logs in and stores the session. Sends the last refresh token of the same account, so that the service recognises
   * the device.
   */
  logIn(body: Schemas['LogIn']): Answer<'/api/auth/login'>
  /**
   * Ends this session, the user's others, or all. The tokens are deleted here once the service has ended the session;
   * while the service is unreachable they are kept, and `forget` deletes them.
   */
  logOut(scope?: Schemas['LogOut']['scope']): Answer<'/api/auth/logout'>
  /** Deletes the tokens here without ending the session at the service. */
  forget(): Promise<void>
  /** The user of the stored session. */
  user(): Promise<User | null>
  /** The access token, for a service that verifies it itself; it may have expired. */
  token(): Promise<string | null>
  /** Refreshes before the access token expires; null when the session has ended. Rejects when refreshing fails. */
  refresh(): Promise<string | null>
}

export type Latchkey = Client<paths> & { readonly session: LatchkeySession }

/**
 * A client of the service. Each call carries the session's access token; on a 401 it is refreshed (single-flight) and
 * the call is retried once. If the refresh fails with 429 or 5xx, the call returns that response and the session is
 * kept; network errors reject, as with fetch.
 */
export function createLatchkey(options: LatchkeyOptions): Latchkey {
  const { baseUrl, storage = memoryStorage(), onSessionEnd = () => {} } = options
  const plain = options.fetch ?? ((request: Request) => globalThis.fetch(request))
  // The service never redirects; a 307 or 308 would send a password or refresh token to another origin.
  const fetch = (request: Request) => plain(new Request(request, { redirect: 'error' }))
  const device = storage.device ?? memoryDevice()
  const keeper = createKeeper({
    storage,
    onEnded: (session) => keepDevice(device, session),
    onSessionEnd,
    exchange: (refreshToken) => exchange(fetch, baseUrl, refreshToken),
  })
  const send = (request: Request) => sendWithSession(fetch, keeper, request)
  const client = createClient<paths>({
    baseUrl,
    // The token is sent to the service only, whatever base URL a call has.
    fetch: (request) => (isAt(request.url, baseUrl) ? send(request) : fetch(request)),
  })
  return Object.assign(client, { session: sessionOf(client, keeper, device) })
}

function sessionOf(client: Client<paths>, keeper: Keeper, device: DeviceStorage): LatchkeySession {
  return {
    async signUp(body, { idempotencyKey: key } = {}) {
      const header = key === undefined ? {} : { 'idempotency-key': key }
      const answer = await client.POST('/api/auth/signup', { body, params: { header } })
      // No session when the address must be verified first.
      await keeper.keep(answer.data)
      return answer
    },
    async logIn(body) {
      const proof = await proofFor(device, await keeper.current(), body.email)
      const proven = proof === undefined ? body : { refresh_token: proof, ...body }
      const answer = await client.POST('/api/auth/login', { body: proven })
      await keeper.keep(answer.data)
      return answer
    },
    async logOut(scope = 'current') {
      const session = await keeper.current()
      const answer = await client.POST('/api/auth/logout', { body: { scope } })
      if (scope !== 'others' && answer.response.ok) {
        // Also valid after a concurrent refresh: any token of the session identifies the device.
        await keepDevice(device, session)
        await keeper.forget()
      }
      return answer
    },
    forget: () => keeper.forget(),
    user: async () => (await keeper.current())?.user ?? null,
    token: async () => (await keeper.current())?.token ?? null,
    async refresh() {
      const session = await keeper.current()
      if (!session) return null
      const renewal = await keeper.renew(session)
      if (renewal.answer)
        throw new Error(`the refresh was answered ${renewal.answer.status}, without a session`)
      return renewal.session?.token ?? null
    },
  }
}

async function sendWithSession(
  fetch: (request: Request) => Promise<Response>,
  keeper: Keeper,
  request: Request,
): Promise<Response> {
  if (request.headers.has('authorization')) return fetch(request)
  const session = await keeper.current()
  const spare = request.clone()
  const answer = await fetch(authorized(request, session))
  if (answer.status !== 401 || (await codeOf(answer)) !== 'unauthorized') return answer
  if (!session) {
    // Ended by another tab.
    keeper.end()
    return answer
  }
  const renewal = await keeper.renew(session)
  if (renewal.answer) return isTemporary(renewal.answer) ? renewal.answer.clone() : answer
  // Never retry the call as another user who has logged in meanwhile.
  if (renewal.session?.user.id !== session.user.id) return answer
  return fetch(authorized(spare, renewal.session))
}

function authorized(request: Request, session: KeptSession | null): Request {
  if (session) request.headers.set('authorization', `Bearer ${session.token}`)
  return request
}

function isTemporary({ status }: Response): boolean {
  return status === 429 || status >= 500
}

/** Two attempts must fit into the 10 seconds in which a repeated refresh gets the same answer. */
const attemptMs = 4_000

async function exchange(
  fetch: (request: Request) => Promise<Response>,
  baseUrl: string,
  refreshToken: string,
): Promise<Response> {
  const attempt = async () => {
    const answer = await fetch(
      new Request(`${baseUrl.replace(/\/+$/, '')}/api/auth/refresh`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ refresh_token: refreshToken }),
        signal: AbortSignal.timeout(attemptMs),
      }),
    )
    await answer.clone().arrayBuffer()
    return answer
  }
  // The response may have been lost after the token was rotated.
  return attempt().catch(attempt)
}

function isAt(url: string, baseUrl: string): boolean {
  const page = (globalThis as { location?: { href: string } }).location?.href
  return new URL(url).origin === new URL(baseUrl, page).origin
}
