import { type Selectable, sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import { versionConditions } from '../db/preconditions.ts'
import type { Db, TasksTable, Trx } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { type OwnerId, subjectOf } from '../tokens/owner.ts'

/** As its owner sees it: `user_id` is what the owner is called in paths. */
export type Task = Omit<Selectable<TasksTable>, 'version'>

/** A task and the version that its ETag is made of; the version is not on the wire. */
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
// Constants, and not a parameter, of which the planner would not know which partial index has it.
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
  // One more than is shown tells whether there are more.
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
  if (!row) throw new Error('a row that was inserted did not come back')
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
 * Inserts a task unless the owner was last counted to have `estimate` tasks or more; takes no lock that another
 * insert waits for.
 * @returns undefined when it did not
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

/** Makes every other insert of the owner's rows wait for this transaction, and waits for those in flight. */
export async function lockOwner(trx: Trx, owner: OwnerId): Promise<void> {
  await trx.selectFrom('users').select('id').where('id', '=', owner).forUpdate().execute()
}

/** Counts up to `max` tasks. */
export async function countOwnedTasks(trx: Trx, owner: OwnerId, max: number): Promise<number> {
  const own = trx.selectFrom('tasks').select('id').where('user_id', '=', owner).limit(max)
  const { count } = await trx
    .selectFrom(own.as('own'))
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .executeTakeFirstOrThrow()
  return count
}

/** Corrects the estimate, which no deletion lowers. */
export async function setOwnedTaskCount(trx: Trx, owner: OwnerId, counted: number): Promise<void> {
  await trx.updateTable('task_counts').set({ counted }).where('user_id', '=', owner).execute()
}

/** A task as it was made, whatever has become of it. */
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

/** Changes the fields given, if the preconditions hold. */
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

/** Deletes a task, if the preconditions hold. */
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

/** Deletes every task, for an account whose tasks are not its owner's. */
export async function deleteOwnedTasks(db: Db, owner: OwnerId): Promise<void> {
  await db.deleteFrom('tasks').where('user_id', '=', owner).execute()
}
