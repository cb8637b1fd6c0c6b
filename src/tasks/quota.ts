import type { Db, Trx } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import {
  countOwnedTasks,
  insertOwnedTask,
  insertOwnedTaskBelow,
  lockOwner,
  type NewTask,
  setOwnedTaskCount,
  type VersionedTask,
} from './repository.ts'

/** A limit below this is always counted exactly: the estimate needs room to be late. */
const smallestEstimated = 1_000

/** Up to this estimate a task is inserted without counting; 0 is never. */
function estimateBelow(max: number): number {
  return max < smallestEstimated ? 0 : Math.floor(max / 2)
}

/**
 * Inserts a task unless the owner has `max`. Up to half of it, one statement that neither counts nor locks: the
 * estimate in `task_counts` is wrong by half with a probability below e^-15. Past that, inserts of one owner are
 * counted one after the other.
 * @throws Problem task_limit_reached
 */
export async function insertWithinQuota(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  max: number,
): Promise<VersionedTask> {
  const estimate = estimateBelow(max)
  const inserted = estimate > 0 ? await insertOwnedTaskBelow(db, owner, task, estimate) : undefined
  if (inserted) return inserted
  if (db.isTransaction) return insertCounted(db as Trx, owner, task, max)
  return inTransaction(db, (trx) => insertCounted(trx, owner, task, max))
}

async function insertCounted(trx: Trx, owner: OwnerId, task: NewTask, max: number): Promise<VersionedTask> {
  await lockOwner(trx, owner)
  const count = await countOwnedTasks(trx, owner, max)
  if (count >= max) throw new Problem('task_limit_reached')
  if (count < estimateBelow(max)) await setOwnedTaskCount(trx, owner, count)
  return insertOwnedTask(trx, owner, task)
}
