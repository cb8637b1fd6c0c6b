import type { Db } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { once } from '../idempotency/once.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { insertWithinQuota } from './quota.ts'
import { type NewTask, newTaskAgain, type VersionedTask } from './task.ts'

interface Creation {
  /** Of a request with an `Idempotency-Key`: a repetition gets the task as it was created. */
  readonly keyed: KeyedRequest | null
  /** Tasks that a user may have. */
  readonly max: number
}

/** @throws Problem task_limit_reached, idempotency_in_progress, idempotency_key_reused */
export async function createTask(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  { keyed, max }: Creation,
): Promise<VersionedTask> {
  if (!keyed) return insertWithinQuota(db, owner, task, max)
  return inTransaction(db, (trx) =>
    once(trx, owner, keyed, {
      run: () => insertWithinQuota(trx, owner, task, max),
      outcomeOf: ({ task: { id, created_at } }) => ({ id, created_at }),
      recall: (made) => newTaskAgain(owner, task, made),
    }),
  )
}
