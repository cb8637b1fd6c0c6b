import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { knownDevice } from '../sessions/known-devices.ts'
import type { SignedIn } from '../sessions/opening.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { type Credentials, findCredentials } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { upgradeHash } from './hash-upgrade.ts'
import { openVerifiedIn } from './opening.ts'
import { type Verified, withPassword } from './password-check.ts'
import { challenge } from './second-factor-challenge.ts'

export interface LogIn {
  readonly email: CanonicalEmail
  readonly password: string
  /** The device's last refresh token: proves that the device has logged in before, and opens nothing. */
  readonly refreshToken?: string | undefined
}

/**
 * Opens a session for the right password. The error is the same without an account, for a wrong password and for a
 * malformed hash.
 * @throws Problem second_factor_required, invalid_credentials, account_disabled, email_not_verified, rate_limited,
 * service_unavailable
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

/**
 * Verifies the password, then opens a session; an account with a second factor is asked for a code instead.
 * @throws Problem second_factor_required, and what {@link logIn} throws
 */
export async function openByPassword(
  deps: AccountDeps,
  { email, password, device }: Presented,
  caller: Caller,
): Promise<SignedIn> {
  const attempt = { failure: 'login_failed', email, password, device, caller } as const
  const find = () => findCredentials(deps.db, email)
  return withPassword(deps, attempt, find, async (verified) => {
    const { account, hash } = verified
    assertMayLogIn(deps, account, caller)
    const upgrade = { userId: account.id, hash, password, ip: caller.ip }
    if (account.second_factor !== null && deps.sessionPolicy.secondFactor !== 'off') {
      // Before the challenge, which is bound to the hash.
      const passwordHash = await upgradeHash(deps, upgrade)
      throw challenge(deps, { userId: account.id, device, passwordHash, factor: account.second_factor })
    }
    const signedIn = await openVerified(deps, verified, caller)
    if (signedIn) await upgradeHash(deps, { ...upgrade, sessionId: signedIn.session.id })
    return signedIn
  })
}

function assertMayLogIn(deps: AccountDeps, account: Credentials, { ip }: Caller): void {
  const isUnverified = deps.verificationRequired && !account.email_verified
  if (!account.banned && !isUnverified) return
  deps.securityEvents.note({ event: 'login_failed', userId: account.id, ip })
  throw new Problem(account.banned ? 'account_disabled' : 'email_not_verified')
}

/** @returns undefined when the hash has been replaced, or a second factor confirmed, meanwhile */
async function openVerified(
  deps: AccountDeps,
  verified: Verified<Credentials>,
  caller: Caller,
): Promise<SignedIn | undefined> {
  return commit(deps, (trx, effects) =>
    openVerifiedIn(trx, deps, { ...verified, secondFactor: false, caller }, effects),
  )
}
