import type { Db, Trx } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import {
  countOwnedTasks,
  insertOwnedTask,
  insertOwnedTaskBelow,
  lockOwner,
  setOwnedTaskCount,
} from './insertion.ts'
import type { NewTask, VersionedTask } from './task.ts'

/** Below this limit tasks are always counted: the estimate may lag behind. */
const minEstimatedLimit = 1_000

/** Below this estimate a task is inserted without counting; 0: always count. */
function estimateBelow(max: number): number {
  return max < minEstimatedLimit ? 0 : Math.floor(max / 2)
}

/**
 * Inserts a task unless the owner has `max`. Below half of it by one statement that neither counts nor locks: the
 * probability that the estimate in `task_counts` is wrong by half is below e^-15. Above, inserts of one owner are
 * serialized and counted.
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
