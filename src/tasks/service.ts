import { violatesForeignKey } from '../db/errors.ts'
import type { Db } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { once } from '../idempotency/once.ts'
import { Problem } from '../problem.ts'
import type { OwnerId, Principal } from '../tokens/owner.ts'
import { withRow } from '../users/foreign-users.ts'
import type { Preconditions } from './etag.ts'
import { insertWithinQuota } from './quota.ts'
import {
  deleteOwnedTask,
  findOwnedTask,
  type NewTask,
  newTaskAgain,
  updateOwnedTask,
  type VersionedTask,
} from './repository.ts'

interface Creation {
  readonly user: Principal
  /** Of a request that may come again, and then gets the task as it was made. */
  readonly keyed: KeyedRequest | null
  /** Tasks that a user may have. */
  readonly max: number
}

/**
 * @throws Problem unauthorized when the account is gone, though its token has not ended yet; task_limit_reached,
 * idempotency_in_progress, idempotency_key_reused
 */
export async function createTask(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  { user, keyed, max }: Creation,
): Promise<VersionedTask> {
  const insert = () =>
    keyed ? insertOnce(db, owner, task, keyed, max) : insertWithinQuota(db, owner, task, max)
  const made = await withRow(db, user, () => unlessUnknown(insert))
  if (!made) throw new Problem('unauthorized', { reason: 'user_deleted' })
  return made
}

async function insertOnce(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  keyed: KeyedRequest,
  max: number,
): Promise<VersionedTask> {
  return inTransaction(db, (trx) =>
    once(trx, owner, keyed, {
      run: () => insertWithinQuota(trx, owner, task, max),
      outcomeOf: ({ task: { id, created_at } }) => ({ id, created_at }),
      recall: (made) => newTaskAgain(owner, task, made),
    }),
  )
}

async function unlessUnknown<T>(insert: () => Promise<T>): Promise<T | undefined> {
  try {
    return await insert()
  } catch (error) {
    if (violatesForeignKey(error)) return undefined
    throw error
  }
}

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

/** No row was touched: the task is not there, or a precondition failed. */
async function refuse(db: Db, owner: OwnerId, id: number): Promise<never> {
  throw new Problem((await findOwnedTask(db, owner, id)) ? 'precondition_failed' : 'task_not_found')
}
