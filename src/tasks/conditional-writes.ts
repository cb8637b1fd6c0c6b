import type { Db } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteOwnedTask, findOwnedTask, updateOwnedTask } from './repository.ts'
import type { NewTask, VersionedTask } from './task.ts'

/**
 * Changes a task if the preconditions hold.
 * @throws Problem task_not_found, precondition_failed
 */
export async function changeTask(
  db: Db,
  owner: OwnerId,
  id: number,
  changes: Partial<NewTask>,
  preconditions: Preconditions,
): Promise<VersionedTask> {
  const changed = await updateOwnedTask(db, owner, id, changes, preconditions)
  return changed ?? (await refuse(db, owner, id))
}

/**
 * Deletes a task if the preconditions hold.
 * @throws Problem task_not_found, precondition_failed
 */
export async function removeTask(
  db: Db,
  owner: OwnerId,
  id: number,
  preconditions: Preconditions,
): Promise<void> {
  if (!(await deleteOwnedTask(db, owner, id, preconditions))) await refuse(db, owner, id)
}

/** No row matched: the task does not exist, or a precondition failed. */
async function refuse(db: Db, owner: OwnerId, id: number): Promise<never> {
  throw new Problem((await findOwnedTask(db, owner, id)) ? 'precondition_failed' : 'task_not_found')
}
