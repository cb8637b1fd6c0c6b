import type { Trx } from '../db/schema.ts'
import { deleteOwnedKeys } from '../idempotency/repository.ts'
import { dropOwnedMails } from '../mail/outbox.ts'
import type { Effects } from '../sessions/commit.ts'
import { deleteOwnedTasks } from '../tasks/repository.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteClaim } from '../users/claims.ts'
import { resetOwnedName } from '../users/repository.ts'
import { removeFactorIn } from './second-factor-removal.ts'

/**
 * Removes what another party stored in a pre-hijacked account (Sudhodanan and Paverd, "Pre-hijacked accounts", USENIX
 * Security 2022). Sessions and tokens end with the new password. Every table with a user's data belongs here: a test
 * enumerates them.
 */
export async function removeFormerParty(
  trx: Trx,
  { owner, ip }: { readonly owner: OwnerId; readonly ip: string },
  effects: Effects,
): Promise<void> {
  await deleteOwnedTasks(trx, owner)
  await deleteOwnedKeys(trx, owner)
  await dropOwnedMails(trx, owner)
  await deleteClaim(trx, owner)
  // The former party's authenticator would lock the owner of the mailbox out.
  await removeFactorIn(trx, { owner, ip }, effects)
  await resetOwnedName(trx, owner)
}
