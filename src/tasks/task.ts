import type { Selectable } from 'kysely'
import type { TasksTable } from '../db/schema.ts'
import { type OwnerId, subjectOf } from '../tokens/owner.ts'

/** The task on the wire: `user_id` is the owner's id in paths. */
export type Task = Omit<Selectable<TasksTable>, 'version'>

/** A task and the version in its ETag. */
export interface VersionedTask {
  readonly task: Task
  readonly version: number
}

export interface NewTask {
  readonly title: string
  readonly description: string | null
  readonly completed: boolean
}

/** A row of `tasks` as its owner sees it. */
export function versioned({ version, ...task }: Selectable<TasksTable>): VersionedTask {
  task.user_id = subjectOf(task.user_id)
  return { task, version }
}

/** A task as it was created, even if changed or deleted since. */
export function newTaskAgain(
  owner: OwnerId,
  task: NewTask,
  { id, created_at }: Pick<Task, 'id' | 'created_at'>,
): VersionedTask {
  return versioned({ ...task, id, user_id: owner, created_at, updated_at: created_at, version: 1 })
}
