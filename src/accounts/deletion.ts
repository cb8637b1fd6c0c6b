import { endKeysIn } from '../api-keys/ending.ts'
import type { Caller } from '../sessions/caller.ts'
import { commit } from '../sessions/commit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteOwnedUser } from '../users/repository.ts'
import { lockUser } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import { endAccess } from './end-access.ts'
import { withOwnedPassword } from './password-check.ts'

/**
 * Deletes an account with its sessions, API keys and tasks, for the right password.
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
      await endKeysIn(trx, { userId: owner, ip }, effects)
      await deleteOwnedUser(trx, owner)
      effects.events.push({ event: 'account_deleted', userId: owner, ip })
      return true
    }),
  )
}
