import { type Selectable, sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import { versionConditions } from '../db/preconditions.ts'
import type { Db, TasksTable, Trx } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { type OwnerId, subjectOf } from '../tokens/owner.ts'

/** The task on the wire: `user_id` is the owner's id in paths. */
export type Task = Omit<Selectable<TasksTable>, 'version'>

/** A task and the version in its ETag. */
export interface VersionedTask {
  readonly task: Task
  readonly version: number
}

interface Page {
  readonly limit: number
  /** Id of the last task already seen. */
  readonly after: number
  readonly completed: boolean | undefined
}

export interface NewTask {
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
}

function versioned({ version, ...task }: Selectable<TasksTable>): VersionedTask {
  task.user_id = subjectOf(task.user_id)
  return { task, version }
}

interface PageValues {
  readonly owner: OwnerId
  readonly after: number
  readonly fetch: number
}

const page = (db: Db, value: <Name extends keyof PageValues>(name: Name) => PageValues[Name]) =>
  db
    .selectFrom('tasks')
    .select(['id', 'user_id', 'title', 'description', 'completed', 'created_at', 'updated_at'])
    .where('user_id', '=', value('owner'))
    .where('id', '>', value('after'))
    .orderBy('id')
    .limit(value('fetch'))

const selectPage = compiledOnce<PageValues, Task>(page)
// Literals, not parameters, so that the planner can choose the partial index.
const selectCompleted = compiledOnce<PageValues, Task>((db, value) =>
  page(db, value).where('completed', '=', sql.lit(true)),
)
const selectNotCompleted = compiledOnce<PageValues, Task>((db, value) =>
  page(db, value).where('completed', '=', sql.lit(false)),
)

/** Up to `limit` tasks in order of id, and whether more follow. */
export async function listOwnedTasks(
  db: Db,
  owner: OwnerId,
  { limit, after, completed }: Page,
): Promise<{ tasks: Task[]; more: boolean }> {
  // One extra row shows whether another page follows.
  const values = { owner, after, fetch: limit + 1 }
  const select = completed === undefined ? selectPage : completed ? selectCompleted : selectNotCompleted
  const tasks = await select(db, values)
  const more = tasks.length > limit
  if (more) tasks.pop()
  const userId = subjectOf(owner)
  for (const task of tasks) task.user_id = userId
  return { tasks, more }
}

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

/** A task as it was created, even if changed or deleted since. */
export function newTaskAgain(
  owner: OwnerId,
  task: NewTask,
  { id, created_at }: Pick<Task, 'id' | 'created_at'>,
): VersionedTask {
  return versioned({ ...task, id, user_id: owner, created_at, updated_at: created_at, version: 1 })
}

const selectTask = compiledOnce<{ readonly owner: OwnerId; readonly id: number }, Selectable<TasksTable>>(
  (db, value) =>
    db.selectFrom('tasks').selectAll().where('user_id', '=', value('owner')).where('id', '=', value('id')),
)

export async function findOwnedTask(db: Db, owner: OwnerId, id: number): Promise<VersionedTask | undefined> {
  const [row] = await selectTask(db, { owner, id })
  return row && versioned(row)
}

export async function updateOwnedTask(
  db: Db,
  owner: OwnerId,
  id: number,
  changes: Partial<NewTask>,
  preconditions: Preconditions,
): Promise<VersionedTask | undefined> {
  const row = await db
    .updateTable('tasks')
    .set((eb) => ({ ...changes, version: eb('version', '+', 1), updated_at: eb.fn<string>('now') }))
    .where('user_id', '=', owner)
    .where('id', '=', id)
    .where((eb) => eb.and(versionConditions(preconditions)))
    .returningAll()
    .executeTakeFirst()
  return row && versioned(row)
}

export async function deleteOwnedTask(
  db: Db,
  owner: OwnerId,
  id: number,
  preconditions: Preconditions,
): Promise<boolean> {
  const { numDeletedRows } = await db
    .deleteFrom('tasks')
    .where('user_id', '=', owner)
    .where('id', '=', id)
    .where((eb) => eb.and(versionConditions(preconditions)))
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** For an account taken over by the owner of its address: the tasks are somebody else's. */
export async function deleteOwnedTasks(db: Db, owner: OwnerId): Promise<void> {
  await db.deleteFrom('tasks').where('user_id', '=', owner).execute()
  await db.deleteFrom('task_counts').where('user_id', '=', owner).execute()
}
