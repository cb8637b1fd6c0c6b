import { type Selectable, sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import type { Db, TasksTable, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { type NewTask, type VersionedTask, versioned } from './task.ts'

const insertTask = compiledOnce<NewTask & { readonly owner: OwnerId }, Selectable<TasksTable>>((db, value) =>
  db
    .insertInto('tasks')
    .values({
      user_id: value('owner'),
      title: value('title'),
      description: value('description'),
      completed: value('completed'),
    })
    .returningAll(),
)

export async function insertOwnedTask(db: Db, owner: OwnerId, task: NewTask): Promise<VersionedTask> {
  const [row] = await insertTask(db, { ...task, owner })
  if (!row) throw new Error('INSERT ... RETURNING returned no row')
  return versioned(row)
}

const insertTaskBelow = compiledOnce<
  NewTask & { readonly owner: OwnerId; readonly estimate: number },
  Selectable<TasksTable>
>((db, value) =>
  db
    .insertInto('tasks')
    .columns(['user_id', 'title', 'description', 'completed'])
    .expression(
      db
        .selectNoFrom([
          sql<string>`${value('owner')}::text`.as('user_id'),
          sql<string>`${value('title')}::text`.as('title'),
          sql<string | null>`${value('description')}::text`.as('description'),
          sql<boolean>`${value('completed')}::boolean`.as('completed'),
        ])
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('task_counts')
                .select('user_id')
                .where('user_id', '=', value('owner'))
                .where('counted', '>=', value('estimate')),
            ),
          ),
        ),
    )
    .returningAll(),
)

/**
 * Inserts a task unless the owner's last count is `estimate` or more. Concurrent inserts do not block each other.
 * @returns undefined if not inserted
 */
export async function insertOwnedTaskBelow(
  db: Db,
  owner: OwnerId,
  task: NewTask,
  estimate: number,
): Promise<VersionedTask | undefined> {
  const [row] = await insertTaskBelow(db, { ...task, owner, estimate })
  return row && versioned(row)
}

/** Serializes inserts of the owner's rows: their foreign keys lock the same row. */
export async function lockOwner(trx: Trx, owner: OwnerId): Promise<void> {
  await trx.selectFrom('users').select('id').where('id', '=', owner).forUpdate().execute()
}

/** Counts tasks, up to `max`. */
export async function countOwnedTasks(trx: Trx, owner: OwnerId, max: number): Promise<number> {
  const own = trx.selectFrom('tasks').select('id').where('user_id', '=', owner).limit(max)
  const { count } = await trx
    .selectFrom(own.as('own'))
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Corrects the estimate, which deletions do not lower. */
export async function setOwnedTaskCount(trx: Trx, owner: OwnerId, counted: number): Promise<void> {
  await trx.updateTable('task_counts').set({ counted }).where('user_id', '=', owner).execute()
}
