import type { ColumnType, Generated, Kysely } from 'kysely'
import type { Db, UsersTable } from '../db/schema.ts'
import type { Field } from './fields.ts'

/** The columns that every table of a resource has. */
interface OwnedTable {
  id: Generated<number>
  user_id: string
  version: Generated<number>
  created_at: ColumnType<string, never, never>
  updated_at: ColumnType<string, never, string>
}

/** Estimated number of a user's rows, kept by a trigger on the table. */
interface CountsTable {
  user_id: string
  counted: number
}

interface Tables {
  owned: OwnedTable
  owned_counts: CountsTable
  users: UsersTable
}

/** The tables of a resource; for the types of statements, the names are those of `Tables`. */
export interface OwnedTables {
  readonly rows: 'owned'
  readonly counts: 'owned_counts'
  readonly fields: readonly Field[]
}

/** @param one e.g. `note`: its rows are counted in `note_counts` */
export function ownedTables(name: string, one: string, fields: readonly Field[]): OwnedTables {
  return { rows: name as 'owned', counts: `${one}_counts` as 'owned_counts', fields }
}

/** The database, for statements on the tables of a resource. */
export function withOwnedTables(db: Db): Kysely<Tables> {
  return db as unknown as Kysely<Tables>
}
