import type { ColumnType, Generated, Kysely } from 'kysely'

/** timestamptz, read as an RFC 3339 UTC string; the database's clock writes it. */
type Timestamp = ColumnType<string, never, never>
type TimestampByDefault = ColumnType<string, never, string>

export interface UsersTable {
  id: string
  email: string
  name: string
  email_verified: Generated<boolean>
  password_hash: string
  created_at: Timestamp
}

export interface SessionsTable {
  id: string
  user_id: string
  ip: string
  user_agent: string
  created_at: Timestamp
  last_used_at: TimestampByDefault
}

export interface TasksTable {
  id: Generated<number>
  user_id: string
  title: string
  description: string | null
  completed: Generated<boolean>
  version: Generated<number>
  created_at: Timestamp
  updated_at: TimestampByDefault
}

export interface Database {
  users: UsersTable
  sessions: SessionsTable
  tasks: TasksTable
}

/** Where repositories send their statements: the database, or a transaction on it. */
export type Db = Kysely<Database>
