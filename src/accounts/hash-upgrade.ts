import type { Passwords } from '../passwords/pool.ts'
import { commit } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { replacePasswordHash } from '../users/repository.ts'

interface Verified {
  readonly userId: string
  /** What the password was verified against. */
  readonly hash: string
  readonly password: string
  readonly sessionId: string
  readonly ip: string
}

/**
 * Replaces an outdated hash by one as they are made now. It never fails what it is part of: whoever has the right
 * password is in, and the next login tries again.
 */
export async function upgradeHash(
  deps: SessionDeps & { readonly passwords: Passwords },
  { userId, hash, password, sessionId, ip }: Verified,
): Promise<void> {
  try {
    await deps.passwords.upgrade(hash, password, (next) =>
      commit(deps, async (trx, { events }) => {
        // On another instance, or by a password change, it may be another one by now.
        if (!(await replacePasswordHash(trx, userId, { from: hash, to: next }))) return
        events.push({ event: 'password_hash_upgraded', userId, sessionId, ip })
      }),
    )
  } catch (err) {
    deps.log.warn(
      { event: 'password_hash_upgrade_failed', user_id: userId, err },
      'a password hash was not upgraded; the next login tries again',
    )
  }
}
