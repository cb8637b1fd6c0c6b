import { type Selectable, sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import { versionConditions } from '../db/preconditions.ts'
import type { Db, TasksTable } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { type OwnerId, subjectOf } from '../tokens/owner.ts'
import { type NewTask, type Task, type VersionedTask, versioned } from './task.ts'

interface Page {
  readonly limit: number
  /** Id of the last task already seen. */
  readonly after: number
  readonly completed: boolean | undefined
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
