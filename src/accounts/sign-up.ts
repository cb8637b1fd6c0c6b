import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { assertSame, inProgress } from '../idempotency/once.ts'
import { findKept, keep, tryLockKey } from '../idempotency/repository.ts'
import { assertAcceptable, assertDeliverable } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import { insertUser } from '../users/creation.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { findCredentials } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { openByPassword } from './log-in.ts'

export interface SignUp {
  readonly email: CanonicalEmail
  readonly password: string
  readonly name: string
}

/**
 * Creates an account and its first session in one transaction, and requests the mail that verifies its address.
 * @param keyed the idempotency key: a retry opens another session of the account
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
  if (!keyed) return createAccount(deps, wanted, caller)
  const again = await signUpAgain(deps, wanted, caller, keyed)
  if (again) return again
  try {
    return await createAccount(deps, wanted, caller, keyed)
  } catch (error) {
    if (!(error instanceof Problem && error.code === 'email_already_registered')) throw error
    // The retry may have overtaken its original.
    const again = await signUpAgain(deps, wanted, caller, keyed)
    if (again) return again
    throw error
  }
}

/**
 * Opens a session of the account that a request with this key has created. The key is no credential: the password is
 * verified and guesses count, as at a login.
 * @returns undefined when no account was created with the key
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

async function createAccount(
  deps: AccountDeps,
  { email, name, password }: SignUp,
  caller: Caller,
  keyed?: KeyedRequest,
): Promise<SignedIn> {
  // Hashed before the lookup: timing must not reveal an account.
  const passwordHash = await deps.passwords.hash(password, caller.signal)
  return commit(deps, async (trx, effects) => {
    // The lock is on the address: there is no account yet.
    if (keyed && !(await tryLockKey(trx, email, keyed))) throw inProgress()
    const user = await insertUser(trx, { email, name, passwordHash })
    if (!user) throw new Problem('email_already_registered')
    if (keyed) await keep(trx, user.id, keyed, null)
    const opening = { userId: user.id, passwordHash, secondFactor: false, caller }
    const session = await openSession(trx, deps.sessionPolicy, opening, effects)
    if (!session) throw new Error('the new account was not found in its own transaction')
    const made = { userId: user.id, sessionId: session.id, ip: caller.ip }
    effects.events.push({ event: 'account_created', ...made })
    // A full outbox does not fail the signup: the user can request the mail again.
    if (deps.mail.available) await effects.request({ kind: 'signup', recipient: email })
    return { user, session }
  })
}
