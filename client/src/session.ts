import type { Client, FetchResponse } from 'openapi-fetch'
import { keepDevice, proofFor } from './device.ts'
import type { Keeper } from './keeper.ts'
import { isProblem, type Problem } from './problem.ts'
import type { components, paths } from './schema.ts'
import type { DeviceStorage, KeptSession, User } from './storage.ts'

type Schemas = components['schemas']

type Fetched<Path extends keyof paths> = FetchResponse<
  paths[Path] extends { post: infer Post extends object } ? Post : never,
  object,
  `${string}/${string}`
>
type Answer<Path extends keyof paths> = Promise<Fetched<Path>>

/** What the service asks for before it opens a session. */
export interface SecondFactorStep {
  readonly step: 'second_factor'
  /** The kinds of code that `session.secondFactor` takes. */
  readonly methods: NonNullable<Problem['methods']>
}

/** An answer; with `next`, the password was right and a session opens with the next step. */
type Asking<A> =
  | (A & { readonly next?: undefined })
  | (Extract<A, { data?: never }> & { readonly next: SecondFactorStep })

export interface LatchkeySession {
  /**
   * Signs up and stores the session. With an `idempotencyKey`, best a UUID, a signup whose response was lost can be
   * retried; that may ask for a second factor, as `logIn` does.
   */
  signUp(
    body: Schemas['SignUp'],
    options?: { readonly idempotencyKey?: string },
  ): Promise<Asking<Fetched<'/api/auth/signup'>>>
  /**
   * Logs in and stores the session. Sends the last refresh token of the same account, so that the service recognises
   * the device. An account with a second factor answers `next`: then `secondFactor` opens the session.
   */
  logIn(body: Schemas['LogIn']): Promise<Asking<Fetched<'/api/auth/login'>>>
  /**
   * Completes the last login that answered `next`, and stores the session. A wrong code (`invalid_code`) can be
   * repeated; after `invalid_token`, log in anew. Rejects when no login waits.
   */
  secondFactor(code: string): Answer<'/api/auth/login/second-factor'>
  /**
   * Authenticates the user of the session again, for a call that needs a recent or a strong login. An account with a
   * second factor needs a code, else the answer is `second_factor_required`.
   */
  reauthenticate(password: string, code?: string): Answer<'/api/auth/reauthenticate'>
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

export function createSession(client: Client<paths>, keeper: Keeper, device: DeviceStorage): LatchkeySession {
  /** Of the login that waits for its code; in memory only. */
  let mfaToken: string | undefined

  /** Takes the token out of the error, which an app may log. */
  async function opened<A extends { data?: unknown; error?: unknown }>(answer: A): Promise<Asking<A>> {
    mfaToken = undefined
    if (isProblem(answer.error, 'second_factor_required') && answer.error.mfa_token !== undefined) {
      const { mfa_token, ...error } = answer.error
      mfaToken = mfa_token
      const next: SecondFactorStep = { step: 'second_factor', methods: error.methods ?? ['totp'] }
      return { ...answer, error, next } as unknown as Asking<A>
    }
    // No session when the address must be verified first.
    await keeper.keep(answer.data)
    return answer
  }

  return {
    async signUp(body, { idempotencyKey: key } = {}) {
      const header = key === undefined ? {} : { 'idempotency-key': key }
      return opened(await client.POST('/api/auth/signup', { body, params: { header } }))
    },
    async logIn(body) {
      const proof = await proofFor(device, await keeper.current(), body.email)
      const proven = proof === undefined ? body : { refresh_token: proof, ...body }
      return opened(await client.POST('/api/auth/login', { body: proven }))
    },
    async secondFactor(code) {
      const waiting = mfaToken
      if (waiting === undefined) throw new Error('no login waits for a second factor: log in first')
      const answer = await client.POST('/api/auth/login/second-factor', {
        body: { mfa_token: waiting, code },
      })
      await keeper.keep(answer.data)
      if (answer.data && mfaToken === waiting) mfaToken = undefined
      return answer
    },
    async reauthenticate(password, code) {
      const body = { password, ...(code === undefined ? {} : { code }) }
      const ask = (headers = {}) => client.POST('/api/auth/reauthenticate', { body, headers })
      const session = await keeper.current()
      if (!session) return ask()
      const attempt = (from: KeptSession) =>
        keeper.swap(from, ({ token }) => ask({ authorization: `Bearer ${token}` }))
      const answer = await attempt(session).catch(async (error) => {
        // The answer with the next refresh token may have been lost; for seconds, the old one gets it too.
        await keeper.renew(session).catch(() => {})
        throw error
      })
      if (!isProblem(answer.error, 'unauthorized')) return answer
      const { session: renewed } = await keeper.renew(session)
      return renewed?.user.id === session.user.id ? attempt(renewed) : answer
    },
    async logOut(scope = 'current') {
      const session = await keeper.current()
      const answer = await client.POST('/api/auth/logout', { body: { scope } })
      if (scope !== 'others' && answer.response.ok) {
        mfaToken = undefined
        // Also valid after a concurrent refresh: any token of the session identifies the device.
        await keepDevice(device, session)
        await keeper.forget()
      }
      return answer
    },
    async forget() {
      mfaToken = undefined
      await keeper.forget()
    },
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
