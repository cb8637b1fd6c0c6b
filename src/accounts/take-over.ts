import type { Trx } from '../db/schema.ts'
import { deleteOwnedKeys } from '../idempotency/repository.ts'
import { dropOwnedMails } from '../mail/outbox.ts'
import { deleteOwnedTasks } from '../tasks/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteClaim } from '../users/claims.ts'
import { resetOwnedName } from '../users/repository.ts'

/**
 * Removes what the party before left in an account (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX Security
 * 2022). Its sessions and tokens end with the new password. What another table keeps of a user goes here too: a test
 * looks for it.
 */
export async function removeFormerParty(trx: Trx, owner: OwnerId): Promise<void> {
  await deleteOwnedTasks(trx, owner)
  await deleteOwnedKeys(trx, owner)
  await dropOwnedMails(trx, owner)
  await deleteClaim(trx, owner)
  await resetOwnedName(trx, owner)
}
