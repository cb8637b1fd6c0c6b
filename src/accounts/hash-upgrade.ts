import type { Passwords } from '../passwords/pool.ts'
import { commit } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { replacePasswordHash } from '../users/without-owner.ts'

interface Verified {
  readonly userId: string
  /** The hash that the password matched. */
  readonly hash: string
  readonly password: string
  /** Undefined before the second factor: there is no session yet. */
  readonly sessionId?: string | undefined
  readonly ip: string
}

/**
 * Replaces an outdated hash by a current one. A failure is only logged: the next login tries again.
 * @returns the hash that is stored now
 */
export async function upgradeHash(
  deps: SessionDeps & { readonly passwords: Passwords },
  { userId, hash, password, sessionId, ip }: Verified,
): Promise<string> {
  let stored = hash
  try {
    await deps.passwords.upgrade(hash, password, (next) =>
      commit(deps, async (trx, { events }) => {
        // Compare-and-set: another instance or a password change may have replaced it.
        if (!(await replacePasswordHash(trx, userId, { from: hash, to: next }))) return
        stored = next
        events.push({ event: 'password_hash_upgraded', userId, sessionId, ip })
      }),
    )
  } catch (err) {
    deps.log.warn(
      { event: 'password_hash_upgrade_failed', user_id: userId, err },
      'password hash upgrade failed; the next login retries it',
    )
  }
  return stored
}
