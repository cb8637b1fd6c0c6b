import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import { knownDevice } from '../sessions/known-devices.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import { endWaiting } from '../users/claims.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { findCredentials } from '../users/repository.ts'
import type { AccountDeps } from './deps.ts'
import { upgradeHash } from './hash-upgrade.ts'
import { withPassword } from './password-check.ts'

export interface LogIn {
  readonly email: CanonicalEmail
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
  { email, password, refreshToken: token }: LogIn,
  caller: Caller,
): Promise<SignedIn> {
  const { refreshKeys } = deps.sessionPolicy
  const device = token === undefined ? undefined : await knownDevice(deps.db, refreshKeys, { email, token })
  return openByPassword(deps, { email, password, device }, caller)
}

/** Opens a session of an account for the right password. */
export async function openByPassword(
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
