import type { Trx } from '../db/schema.ts'
import { deleteOwnedKeys } from '../idempotency/repository.ts'
import { dropOwnedMails } from '../mail/outbox.ts'
import { resources } from '../resources/index.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteClaim } from '../users/claims.ts'
import { resetOwnedName } from '../users/repository.ts'

/**
 * Removes what another party stored in a pre-hijacked account (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX
 * Security 2022). Sessions and tokens end with the new password. Every table with a user's data belongs here: a test
 * enumerates them. A second factor stays: who reads a mailbox must not get around it.
 */
export async function removeFormerParty(trx: Trx, owner: OwnerId): Promise<void> {
  for (const { rows } of resources) await rows.deleteAllOwned(trx, owner)
  await deleteOwnedKeys(trx, owner)
  await dropOwnedMails(trx, owner)
  await deleteClaim(trx, owner)
  await resetOwnedName(trx, owner)
}
