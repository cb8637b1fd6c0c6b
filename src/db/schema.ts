import type { ColumnType, Generated, GeneratedAlways, Kysely, Transaction } from 'kysely'
import type { KeyAlgorithm, PublicJwk } from '../keys/signing-keys.ts'
import type { MailKind, MailName } from '../mail/kinds.ts'
import type { TokenPurpose } from '../one-time-tokens/token.ts'

/** timestamptz, read as an RFC 3339 UTC string; the database's clock writes it. */
type Timestamp = ColumnType<string, never, never>
type TimestampUnlessImported = ColumnType<string, string | undefined, never>
type TimestampByDefault = ColumnType<string, never, string>
type TimestampByExpression = ColumnType<string, string, string>

export interface UsersTable {
  id: string
  /** One account to an address among the accounts made here; null for a trusted issuer's user whose token has none. */
  email: string | null
  name: string
  email_verified: Generated<boolean>
  /** Null where no password opens the account. */
  password_hash: string | null
  /** The trusted issuer and its name for the user; null for an account made here. */
  issuer: Generated<string | null>
  subject: Generated<string | null>
  /** The address at which its proven owner chose the name; null where somebody else may have. */
  named_by: Generated<string | null>
  created_at: TimestampUnlessImported
}

/** Unverified accounts whose mailbox has to decide; gone once it has. */
export interface AccountClaimsTable {
  user_id: string
  /** Made by a signup that asks for a verified address, and never logged in. */
  waiting: Generated<boolean>
  /** Another signup with the address came with another password. */
  contested: Generated<boolean>
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

/** Filled by a trigger on sessions. */
export interface EndedSessionsTable {
  id: string
  user_id: string
  salt: Uint8Array
  ended_at: Timestamp
}

export interface PasswordResetsTable {
  user_id: string
  ip: string
  at: TimestampByExpression
}

export interface RevocationsTable {
  id: GeneratedAlways<number>
  session_id: string | null
  user_id: string | null
  created_at: Timestamp
  /** By the clock of the process that verifies tokens; created_at where null, as by hand. */
  issued_until: ColumnType<string | null, string | null | undefined, never>
  ends_at: TimestampByExpression
  /** Of the transaction that changed it last. */
  xid: ColumnType<string, never, never>
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

/** How many tasks a user had when they were last counted: an estimate, which a trigger on `tasks` keeps. */
export interface TaskCountsTable {
  user_id: string
  counted: number
}

export interface SigningKeysTable {
  kid: string
  algorithm: KeyAlgorithm
  public_jwk: ColumnType<PublicJwk, string, never>
  private_key: string
  signs_from: ColumnType<string, string, string>
  created_at: Timestamp
}

export interface OneTimeTokensTable {
  token_hash: Uint8Array
  salt: Uint8Array
  user_id: string
  purpose: TokenPurpose
  email: string
  expires_at: TimestampByExpression
}

export interface MailOutboxTable {
  id: GeneratedAlways<number>
  message_id: Generated<string>
  kind: MailKind
  mail: MailName | null
  state: Generated<'waiting' | 'sent' | 'dropped' | 'failed'>
  recipient: string
  mailbox: string | null
  user_id: string | null
  token_hash: Uint8Array | null
  ip: string | null
  /** Not counted in the share of the mailbox. */
  beyond_share: Generated<boolean>
  attempts: Generated<number>
  last_error: string | null
  created_at: Timestamp
  next_attempt_at: TimestampByDefault
}

export interface IdempotencyKeysTable {
  user_id: string
  operation: string
  key_mac: Uint8Array
  body_mac: Uint8Array
  outcome: ColumnType<unknown, string | null, string | null>
  created_at: TimestampByDefault
}

export interface Database {
  users: UsersTable
  account_claims: AccountClaimsTable
  sessions: SessionsTable
  ended_sessions: EndedSessionsTable
  password_resets: PasswordResetsTable
  tasks: TasksTable
  task_counts: TaskCountsTable
  revocations: RevocationsTable
  security_events: SecurityEventsTable
  signing_keys: SigningKeysTable
  one_time_tokens: OneTimeTokensTable
  mail_outbox: MailOutboxTable
  idempotency_keys: IdempotencyKeysTable
}

/** Where repositories send their statements: the database, or a transaction on it. */
export type Db = Kysely<Database>

/** For functions whose statements belong together: the type demands the transaction. */
export type Trx = Transaction<Database>
