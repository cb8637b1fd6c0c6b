import type { Passwords } from '../passwords/pool.ts'
import { commit } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { replacePasswordHash } from '../users/without-owner.ts'

interface Verified {
  readonly userId: string
  /** The hash that the password matched. */
  readonly hash: string
  readonly password: string
  readonly sessionId: string
  readonly ip: string
}

/** Replaces an outdated hash by a current one. A failure is only logged: the next login tries again. */
export async function upgradeHash(
  deps: SessionDeps & { readonly passwords: Passwords },
  { userId, hash, password, sessionId, ip }: Verified,
): Promise<void> {
  try {
    await deps.passwords.upgrade(hash, password, (next) =>
      commit(deps, async (trx, { events }) => {
        // Compare-and-set: another instance or a password change may have replaced it.
        if (!(await replacePasswordHash(trx, userId, { from: hash, to: next }))) return
        events.push({ event: 'password_hash_upgraded', userId, sessionId, ip })
      }),
    )
  } catch (err) {
    deps.log.warn(
      { event: 'password_hash_upgrade_failed', user_id: userId, err },
      'password hash upgrade failed; the next login retries it',
    )
  }
}
