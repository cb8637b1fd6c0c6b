import type { Db, Trx } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { lockOwner } from './insertion.ts'
import type { Values, VersionedItem } from './item.ts'
import type { Resource } from './resource.ts'

/** Below this limit items are always counted: the estimate may lag behind. */
const minEstimatedLimit = 1_000

/** Below this estimate an item is inserted without counting; 0: always count. */
function estimateBelow(max: number): number {
  return max < minEstimatedLimit ? 0 : Math.floor(max / 2)
}

/**
 * Inserts an item unless the owner has `max`. Below half of it by one statement that neither counts nor locks: the
 * probability that the estimate in the table of counts is wrong by half is below e^-15. Above, inserts of one owner are
 * serialized and counted.
 * @throws Problem note_limit_reached
 */
export async function insertWithinQuota(
  resource: Resource,
  db: Db,
  owner: OwnerId,
  values: Values,
  max: number,
): Promise<VersionedItem> {
  const estimate = estimateBelow(max)
  const inserted =
    estimate > 0 ? await resource.rows.insertOwnedBelow(db, owner, values, estimate) : undefined
  if (inserted) return inserted
  if (db.isTransaction) return insertCounted(resource, db as Trx, owner, values, max)
  return inTransaction(db, (trx) => insertCounted(resource, trx, owner, values, max))
}

async function insertCounted(
  { rows, problems }: Resource,
  trx: Trx,
  owner: OwnerId,
  values: Values,
  max: number,
): Promise<VersionedItem> {
  await lockOwner(trx, owner)
  const count = await rows.countOwned(trx, owner, max)
  if (count >= max) throw new Problem(problems.limitReached)
  if (count < estimateBelow(max)) await rows.setOwnedCount(trx, owner, count)
  return rows.insertOwned(trx, owner, values)
}
