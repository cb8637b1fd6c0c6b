import type { Trx } from '../db/schema.ts'
import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { assertSame, inProgress } from '../idempotency/once.ts'
import { findKept, keep, tryLockKey } from '../idempotency/repository.ts'
import { deleteTokens } from '../one-time-tokens/repository.ts'
import { assertAcceptable, assertDeliverable, fieldProblem } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit, type Effects } from '../sessions/commit.ts'
import { endOwnedSessionsIn, revokeForeignTokensIn, type WhichSessions } from '../sessions/ending.ts'
import { knownDevice } from '../sessions/known-devices.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { endWaiting } from '../users/claims.ts'
import { type CanonicalEmail, canonicalEmail } from '../users/email.ts'
import {
  deleteOwnedUser,
  findCredentials,
  findOwnedUser,
  insertUser,
  lockUser,
  setOwnedPasswordHash,
} from '../users/repository.ts'
import type { AccountDeps } from './deps.ts'
import { upgradeHash } from './hash-upgrade.ts'
import { withOwnedPassword, withPassword } from './password-check.ts'

export interface SignUp {
  readonly email: string
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
  { email: address, password }: SignUp,
  caller: Caller,
  keyed: KeyedRequest,
): Promise<SignedIn | undefined> {
  const email = canonicalEmail(address)
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
  wanted: SignUp,
  caller: Caller,
  keyed?: KeyedRequest,
): Promise<SignedIn> {
  // Hashed before the address is looked at: a taken one costs the same time.
  const passwordHash = await deps.passwords.hash(wanted.password, caller.signal)
  const email = canonicalEmail(wanted.email)
  return commit(deps, async (trx, effects) => {
    // Of an address, since there is no account yet that the key could be one of.
    if (keyed && !(await tryLockKey(trx, email, keyed))) throw inProgress()
    const user = await insertUser(trx, { email, name: wanted.name, passwordHash })
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

export interface LogIn {
  readonly email: string
  readonly password: string
  /** The last refresh token that the device has had: it proves that the device is known, and nothing else. */
  readonly refreshToken?: string | undefined
}

/**
 * Opens a session for the right password. No account, wrong password and unreadable hash are one answer.
 * @throws Problem invalid_credentials, email_not_verified, rate_limited, service_unavailable
 */
export async function logIn(
  deps: AccountDeps,
  { refreshToken: token, ...given }: LogIn,
  caller: Caller,
): Promise<SignedIn> {
  const email = canonicalEmail(given.email)
  const { refreshKeys } = deps.sessionPolicy
  const device = token === undefined ? undefined : await knownDevice(deps.db, refreshKeys, { email, token })
  return openByPassword(deps, { ...given, email, device }, caller)
}

async function openByPassword(
  deps: AccountDeps,
  { email, password, device }: { email: CanonicalEmail; password: string; device?: string | undefined },
  caller: Caller,
): Promise<SignedIn> {
  const { ip, signal } = caller
  const failure = 'login_failed' as const
  const attempt = { failure, email, password, ip, device, signal }
  const find = () => findCredentials(deps.db, email)
  return withPassword(
    deps,
    attempt,
    find,
    async ({ password_hash: _, reset: __, waiting, ...user }, hash) => {
      if (deps.verificationRequired && !user.email_verified) {
        deps.securityEvents.note({ event: failure, userId: user.id, ip })
        throw new Problem('email_not_verified')
      }
      const opening = { userId: user.id, passwordHash: hash, caller }
      const session = await commit(deps, async (trx, effects) => {
        const opened = await openSession(trx, deps.sessionPolicy, opening, effects)
        if (opened && waiting) await endWaiting(trx, user.id)
        if (opened) effects.events.push({ event: 'login', userId: user.id, sessionId: opened.id, ip })
        return opened
      })
      if (!session) return undefined
      const verified = { userId: user.id, hash, password, sessionId: session.id, ip }
      await upgradeHash(deps, verified)
      return { user, session }
    },
  )
}

/**
 * Sets a new password for the right current one; every session but `sid` ends.
 * @throws Problem user_not_found, invalid_credentials, password_too_common, rate_limited, validation_failed,
 * service_unavailable
 */
export async function changePassword(
  deps: AccountDeps,
  owner: OwnerId,
  { current, wanted }: { current: string; wanted: string },
  caller: Caller,
): Promise<void> {
  const { sid, ip, signal } = caller
  const user = await findOwnedUser(deps.db, owner)
  if (!user) throw new Problem('user_not_found')
  assertAcceptable(deps, wanted, { path: 'new_password', email: user.email })
  await withOwnedPassword(deps, owner, current, caller, async (currentHash) => {
    if (wanted === current) throw fieldProblem('new_password', 'must differ from the current one')
    const passwordHash = await deps.passwords.hash(wanted, signal)
    return commit(deps, async (trx, effects) => {
      if ((await lockUser(trx, owner)) !== currentHash) return undefined
      await setOwnedPasswordHash(trx, owner, passwordHash)
      // Whoever knew the old password may have asked for them. A proof of the present address gives nothing away.
      await deleteTokens(trx, owner, ['password_reset', 'email_change'])
      effects.events.push({ event: 'password_changed', userId: owner, sessionId: sid, ip })
      effects.notices.push({ kind: 'password_changed', userId: owner, ip })
      await endAccess(trx, deps, { owner, which: { except: sid }, ip }, effects)
      return true
    })
  })
}

/**
 * Removes an account with its sessions and tasks, for the right password.
 * @throws Problem user_not_found, invalid_credentials, rate_limited, service_unavailable
 */
export async function deleteAccount(
  deps: AccountDeps,
  owner: OwnerId,
  password: string,
  caller: Caller,
): Promise<void> {
  const { ip } = caller
  await withOwnedPassword(deps, owner, password, caller, (hash) =>
    commit(deps, async (trx, effects) => {
      if ((await lockUser(trx, owner)) !== hash) return undefined
      await endAccess(trx, deps, { owner, which: 'all', ip }, effects)
      await deleteOwnedUser(trx, owner)
      effects.events.push({ event: 'account_deleted', userId: owner, ip })
      return true
    }),
  )
}

/** Ends sessions, and every token of the owner's that was issued until now and belongs to no session. */
export async function endAccess(
  trx: Trx,
  deps: AccountDeps,
  ending: { owner: OwnerId; which: WhichSessions; ip: string },
  effects: Effects,
): Promise<void> {
  await endOwnedSessionsIn(trx, deps.sessionPolicy, ending, effects)
  await revokeForeignTokensIn(trx, deps, ending, effects)
}
