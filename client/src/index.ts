import createClient, { type Client } from 'openapi-fetch'
import { keepDevice, memoryDevice } from './device.ts'
import { createKeeper } from './keeper.ts'
import type { components, paths } from './schema.ts'
import { exchange, sendWithSession } from './send.ts'
import { createSession, type LatchkeySession } from './session.ts'
import { createStepUp, type StepUpNeed } from './step-up.ts'
import { memoryStorage, type SessionStorage } from './storage.ts'

export { isProblem, type Problem, type ProblemCode } from './problem.ts'
export type { components, operations, paths } from './schema.ts'
export type { LatchkeySession, SecondFactorStep } from './session.ts'
export type { StepUpNeed } from './step-up.ts'
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
  /**
   * Called when a call needs a more recent or a stronger login, once for all calls that wait: ask for the password, call
   * `session.reauthenticate`, and resolve when it has succeeded or the user has given up. Then each call is repeated
   * once, or returns its 401. It must not wait for a call that needs this itself. Without it, calls return their 401.
   */
  readonly onStepUp?: (need: StepUpNeed) => Promise<unknown>
  readonly fetch?: (request: Request) => Promise<Response>
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
  const stepUp = options.onStepUp && createStepUp(storage, keeper, options.onStepUp)
  const send = (request: Request) => sendWithSession(fetch, keeper, stepUp, request)
  const client = createClient<paths>({
    baseUrl,
    // The token is sent to the service only, whatever base URL a call has.
    fetch: (request) => (isAt(request.url, baseUrl) ? send(request) : fetch(request)),
  })
  return Object.assign(client, { session: createSession(client, keeper, device) })
}

function isAt(url: string, baseUrl: string): boolean {
  const page = (globalThis as { location?: { href: string } }).location?.href
  return new URL(url).origin === new URL(baseUrl, page).origin
}
