import type { ColumnType, Generated, GeneratedAlways, Kysely, Transaction } from 'kysely'
import type { KeyAlgorithm, PublicJwk } from '../tokens/signing-keys.ts'

/** timestamptz, read as an RFC 3339 UTC string; the database's clock writes it. */
type Timestamp = ColumnType<string, never, never>
type TimestampByDefault = ColumnType<string, never, string>
type TimestampByExpression = ColumnType<string, string, string>

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
  generation: Generated<number>
  salt: Uint8Array
  ip: string
  user_agent: string
  created_at: Timestamp
  last_used_at: TimestampByDefault
  idle_expires_at: TimestampByExpression
  expires_at: TimestampByExpression
}

export interface RevocationsTable {
  id: GeneratedAlways<number>
  session_id: string | null
  user_id: string | null
  created_at: Timestamp
  ends_at: TimestampByExpression
}

export interface SecurityEventsTable {
  id: GeneratedAlways<number>
  at: Timestamp
  event: string
  user_id: string | null
  session_id: string | null
  ip: string | null
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

export interface SigningKeysTable {
  kid: string
  algorithm: KeyAlgorithm
  public_jwk: ColumnType<PublicJwk, string, never>
  private_key: string
  signs_from: ColumnType<string, string, string>
  created_at: Timestamp
}

export interface Database {
  users: UsersTable
  sessions: SessionsTable
  tasks: TasksTable
  revocations: RevocationsTable
  security_events: SecurityEventsTable
  signing_keys: SigningKeysTable
}

/** Where repositories send their statements: the database, or a transaction on it. */
export type Db = Kysely<Database>

/** For functions whose statements belong together: the type demands the transaction. */
export type Trx = Transaction<Database>
