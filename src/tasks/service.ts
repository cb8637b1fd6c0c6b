import { withRow } from '../accounts/arrivals.ts'
import { violatesForeignKey } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import type { OwnerId, Principal } from '../tokens/owner.ts'
import {
  deleteOwnedTask,
  findOwnedTask,
  insertOwnedTask,
  type NewTask,
  updateOwnedTask,
  type VersionedTask,
} from './repository.ts'

/** @throws Problem unauthorized when the account is gone, though its token has not ended yet */
export async function createTask(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  user: Principal,
): Promise<VersionedTask> {
  const made = await withRow(db, user, () => insertIfKnown(db, owner, task))
  if (!made) throw new Problem('unauthorized', { reason: 'user_deleted' })
  return made
}

async function insertIfKnown(db: Db, owner: OwnerId, task: NewTask): Promise<VersionedTask | undefined> {
  try {
    return await insertOwnedTask(db, owner, task)
  } catch (error) {
    if (violatesForeignKey(error)) return undefined
    throw error
  }
}

/**
 * Changes a task unless it has moved on from every version that the client named.
 * @throws Problem task_not_found, precondition_failed
 */
export async function changeTask(
  db: Db,
  owner: OwnerId,
  id: number,
  changes: Partial<NewTask>,
  versions: readonly number[] | undefined,
): Promise<VersionedTask> {
  const changed = await updateOwnedTask(db, owner, id, changes, versions)
  return changed ?? (await refuse(db, owner, id))
}

/**
 * Deletes a task unless it has moved on from every version that the client named.
 * @throws Problem task_not_found, precondition_failed
 */
export async function removeTask(
  db: Db,
  owner: OwnerId,
  id: number,
  versions: readonly number[] | undefined,
): Promise<void> {
  if (!(await deleteOwnedTask(db, owner, id, versions))) await refuse(db, owner, id)
}

/** No row was touched: the task is not there, or it is and has changed. */
async function refuse(db: Db, owner: OwnerId, id: number): Promise<never> {
  throw new Problem((await findOwnedTask(db, owner, id)) ? 'precondition_failed' : 'task_not_found')
}
