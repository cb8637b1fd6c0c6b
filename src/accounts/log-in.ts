import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { knownDevice } from '../sessions/known-devices.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import { endWaiting } from '../users/claims.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { type Credentials, findCredentials } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { upgradeHash } from './hash-upgrade.ts'
import { type Verified, withPassword } from './password-check.ts'

export interface LogIn {
  readonly email: CanonicalEmail
  readonly password: string
  /** The device's last refresh token: proves that the device has logged in before, and opens nothing. */
  readonly refreshToken?: string | undefined
}

/**
 * Opens a session for the right password. The error is the same without an account, for a wrong password and for a
 * malformed hash.
 * @throws Problem invalid_credentials, email_not_verified, rate_limited, service_unavailable
 */
export async function logIn(
  deps: AccountDeps,
  { email, password, refreshToken: token }: LogIn,
  caller: Caller,
): Promise<SignedIn> {
  const { refreshKeys } = deps.sessionPolicy
  const device = token === undefined ? undefined : await knownDevice(deps.db, refreshKeys, { email, token })
  return openByPassword(deps, { email, password, device }, caller)
}

interface Presented {
  readonly email: CanonicalEmail
  readonly password: string
  /** A session of the account whose refresh token the device has presented. */
  readonly device?: string | undefined
}

/** Verifies the password, then opens a session; a second factor belongs between the two. */
export async function openByPassword(
  deps: AccountDeps,
  { email, password, device }: Presented,
  caller: Caller,
): Promise<SignedIn> {
  const attempt = { failure: 'login_failed', email, password, device, caller } as const
  const find = () => findCredentials(deps.db, email)
  return withPassword(deps, attempt, find, async (verified) => {
    assertMayLogIn(deps, verified.account, caller)
    const signedIn = await openVerified(deps, verified, caller)
    if (!signedIn) return undefined
    const { user, session } = signedIn
    const { hash } = verified
    await upgradeHash(deps, { userId: user.id, hash, password, sessionId: session.id, ip: caller.ip })
    return signedIn
  })
}

function assertMayLogIn(deps: AccountDeps, account: Credentials, { ip }: Caller): void {
  if (!deps.verificationRequired || account.email_verified) return
  deps.securityEvents.note({ event: 'login_failed', userId: account.id, ip })
  throw new Problem('email_not_verified')
}

/** @returns undefined when the hash has been replaced meanwhile */
async function openVerified(
  deps: AccountDeps,
  { account, hash }: Verified<Credentials>,
  caller: Caller,
): Promise<SignedIn | undefined> {
  const { password_hash: _, reset: __, waiting, ...user } = account
  return commit(deps, async (trx, effects) => {
    const opening = { userId: user.id, passwordHash: hash, caller }
    const session = await openSession(trx, deps.sessionPolicy, opening, effects)
    if (!session) return undefined
    if (waiting) await endWaiting(trx, user.id)
    effects.events.push({ event: 'login', userId: user.id, sessionId: session.id, ip: caller.ip })
    return { user, session }
  })
}
