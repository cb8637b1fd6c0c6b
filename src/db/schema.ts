import type { ColumnType, Generated, GeneratedAlways, Kysely, Transaction } from 'kysely'
import type { KeyAlgorithm, PublicJwk } from '../keys/signing-keys.ts'
import type { MailKind, MailName } from '../mail/kinds.ts'
import type { TokenPurpose } from '../one-time-tokens/token.ts'

/** timestamptz, read as an RFC 3339 UTC string; written by the database's clock. */
type Timestamp = ColumnType<string, never, never>
type TimestampUnlessImported = ColumnType<string, string | undefined, never>
type TimestampByDefault = ColumnType<string, never, string>
type TimestampOrNull = ColumnType<string | null, string | null | undefined, string | null>
type TimestampByExpression = ColumnType<string, string, string>

export interface UsersTable {
  id: string
  /** Unique among local accounts; null for a foreign user whose token has none. */
  email: string | null
  name: string
  email_verified: Generated<boolean>
  /** Null when the account has no password. */
  password_hash: string | null
  /** The trusted issuer and its `sub`; null for a local account. */
  issuer: Generated<string | null>
  subject: Generated<string | null>
  /** The verified address whose owner chose the name; null where somebody else may have. */
  named_by: Generated<string | null>
  created_at: TimestampUnlessImported
  /** Null for a user who is not banned; a ban that has ended by itself stays here. */
  banned_at: TimestampOrNull
  /** Null: until it is lifted. */
  banned_until: TimestampOrNull
  ban_reason: Generated<string | null>
}

/** Unverified accounts, until the owner of the mailbox verifies or resets. */
export interface AccountClaimsTable {
  user_id: string
  /** Signed up with REQUIRE_EMAIL_VERIFICATION, and never logged in. */
  waiting: Generated<boolean>
  /** The address was signed up again with another password. */
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
  /** When its user last proved who he is; a rotation does not change it. */
  authenticated_at: TimestampByDefault
  /** Whether that took a second factor. */
  second_factor: Generated<boolean>
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
  key_id: Generated<string | null>
  created_at: Timestamp
  /** By the clock of the verifying process; null (a row inserted by hand): created_at. */
  issued_until: ColumnType<string | null, string | null | undefined, never>
  ends_at: TimestampByExpression
  /** Transaction of the last change. */
  xid: ColumnType<string, never, never>
  /** A ban of the user: the newest one counts. */
  ban: Generated<boolean>
}

export interface SecurityEventsTable {
  id: GeneratedAlways<number>
  at: Timestamp
  event: string
  user_id: string | null
  session_id: string | null
  key_id: Generated<string | null>
  ip: string | null
  /** The service client that asked for it; null for users, and for the command line. */
  client_id: Generated<string | null>
  seal_id: Generated<number | null>
}

/** Filled by triggers on security_events and users. */
export interface EventsTable {
  id: GeneratedAlways<number>
  uid: Generated<string>
  at: Timestamp
  type: string
  user_id: string | null
  /** The transaction. */
  xid: ColumnType<string, never, never>
}

/** One row. */
export interface EventsDeletedTable {
  xid: ColumnType<string, never, never>
}

export interface WebhookDeliveriesTable {
  id: GeneratedAlways<number>
  event_id: string
  type: string
  at: ColumnType<string, string, never>
  user_id: string | null
  state: Generated<'waiting' | 'failed'>
  attempts: Generated<number>
  last_error: string | null
  created_at: Timestamp
  next_attempt_at: TimestampByDefault
}

/** One row. */
export interface WebhookProgressTable {
  id: number
  /** Which events have become deliveries, as JSON. */
  position: string
}

export interface EventSealsTable {
  id: number
  at: ColumnType<string, string, never>
  previous_mac: Uint8Array | null
  previous_at: ColumnType<string | null, string | null, never>
  entries: string
  mac: Uint8Array
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

/** Estimated number of a user's tasks, kept by a trigger on `tasks`. */
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

export interface TotpFactorsTable {
  user_id: string
  id: Generated<string>
  secret: string
  sealed_by: string
  last_step: Generated<number>
  created_at: TimestampByDefault
  /** Null until the owner has shown a code: a setup. */
  confirmed_at: ColumnType<string | null, string | null | undefined, string | null>
}

/** Those that are left: a used one is deleted. */
export interface RecoveryCodesTable {
  user_id: string
  mac: Uint8Array
}

/** Until they would have expired. */
export interface UsedMfaTokensTable {
  token_hash: Uint8Array
  user_id: string
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
  /** Excluded from the mailbox's quota. */
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

export interface ApiKeysTable {
  id: string
  user_id: string
  name: string
  scopes: string[]
  hash: Uint8Array
  created_at: Timestamp
  expires_at: ColumnType<string, string, never>
  last_used_at: ColumnType<string | null, never, string>
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
  events: EventsTable
  events_deleted: EventsDeletedTable
  webhook_deliveries: WebhookDeliveriesTable
  webhook_progress: WebhookProgressTable
  event_seals: EventSealsTable
  signing_keys: SigningKeysTable
  one_time_tokens: OneTimeTokensTable
  totp_factors: TotpFactorsTable
  recovery_codes: RecoveryCodesTable
  used_mfa_tokens: UsedMfaTokensTable
  mail_outbox: MailOutboxTable
  idempotency_keys: IdempotencyKeysTable
  api_keys: ApiKeysTable
}

/** The database, or a transaction on it. */
export type Db = Kysely<Database>

/** For functions that must run in a transaction. */
export type Trx = Transaction<Database>
