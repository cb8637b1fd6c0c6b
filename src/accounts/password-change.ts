import { endKeysIn } from '../api-keys/ending.ts'
import { deleteTokens } from '../one-time-tokens/repository.ts'
import { assertAcceptable, fieldProblem } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { findOwnedUser, setOwnedPasswordHash } from '../users/repository.ts'
import { lockUser } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { withOwnedPassword } from './password-check.ts'

/**
 * Sets a new password for the right current one; every other session ends, and with `endKeys` every API key.
 * @throws Problem user_not_found, invalid_credentials, password_too_common, rate_limited, validation_failed,
 * service_unavailable
 */
export async function changePassword(
  deps: AccountDeps,
  owner: OwnerId,
  { current, wanted, endKeys }: { current: string; wanted: string; endKeys: boolean },
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
      // An attacker who knew the old password may have requested them. Verifying the present address is harmless.
      await deleteTokens(trx, owner, ['password_reset', 'email_change'])
      effects.events.push({ event: 'password_changed', userId: owner, sessionId: sid, ip })
      effects.notices.push({ kind: 'password_changed', userId: owner, ip })
      await endAccess(trx, deps, { owner, which: { except: sid }, ip }, effects)
      if (endKeys) await endKeysIn(trx, { userId: owner, ip }, effects)
      return true
    })
  })
}
