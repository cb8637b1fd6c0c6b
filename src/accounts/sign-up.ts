import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { assertSame, inProgress } from '../idempotency/once.ts'
import { findKept, keep, tryLockKey } from '../idempotency/repository.ts'
import { assertAcceptable, assertDeliverable } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { findCredentials, insertUser } from '../users/repository.ts'
import type { AccountDeps } from './deps.ts'
import { openByPassword } from './log-in.ts'

export interface SignUp {
  readonly email: CanonicalEmail
  readonly password: string
  readonly name: string
}

/**
 * Makes an account and its first session, both or neither, and asks for the mail that verifies its address.
 * @param keyed of a request that may come again, and then gets another session of the account
 * @throws Problem email_already_registered, password_too_common, validation_failed, service_unavailable; with `keyed`
 * also idempotency_in_progress, idempotency_key_reused, rate_limited
 */
export async function signUp(
  deps: AccountDeps,
  wanted: SignUp,
  caller: Caller,
  keyed: KeyedRequest | null,
): Promise<SignedIn> {
  assertDeliverable(wanted.email, 'email')
  assertAcceptable(deps, wanted.password, { path: 'password', email: wanted.email })
  if (!keyed) return makeAccount(deps, wanted, caller)
  const again = await signUpAgain(deps, wanted, caller, keyed)
  if (again) return again
  try {
    return await makeAccount(deps, wanted, caller, keyed)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'email_already_registered')) throw error
    // It may have been this request's first that was faster.
    const again = await signUpAgain(deps, wanted, caller, keyed)
    if (again) return again
    throw error
  }
}

/**
 * Opens a session of the account that a request with this key has made. The key opens nothing by itself: the password
 * is asked for, and guesses count, as at a login.
 * @returns undefined where none has, whether the address has an account or not
 */
async function signUpAgain(
  deps: AccountDeps,
  { email, password }: SignUp,
  caller: Caller,
  keyed: KeyedRequest,
): Promise<SignedIn | undefined> {
  const known = await findCredentials(deps.db, email)
  const kept = known && (await findKept(deps.db, known.id, keyed))
  if (!kept) return undefined
  assertSame(kept, keyed)
  try {
    return await openByPassword(deps, { email, password }, caller)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'invalid_credentials')) throw error
    throw new Problem('idempotency_key_reused', { reason: 'password' })
  }
}

async function makeAccount(
  deps: AccountDeps,
  { email, name, password }: SignUp,
  caller: Caller,
  keyed?: KeyedRequest,
): Promise<SignedIn> {
  // Hashed before the address is looked at: a taken one costs the same time.
  const passwordHash = await deps.passwords.hash(password, caller.signal)
  return commit(deps, async (trx, effects) => {
    // Of an address, since there is no account yet that the key could be one of.
    if (keyed && !(await tryLockKey(trx, email, keyed))) throw inProgress()
    const user = await insertUser(trx, { email, name, passwordHash })
    if (!user) throw new Problem('email_already_registered')
    if (keyed) await keep(trx, user.id, keyed, null)
    const opening = { userId: user.id, passwordHash, caller }
    const session = await openSession(trx, deps.sessionPolicy, opening, effects)
    if (!session) throw new Error('the account that was just made is not there')
    const made = { userId: user.id, sessionId: session.id, ip: caller.ip }
    effects.events.push({ event: 'account_created', ...made })
    // One that is not accepted stops no signup: the account can ask again.
    if (deps.mail.available) await effects.request({ kind: 'signup', recipient: email })
    return { user, session }
  })
}
