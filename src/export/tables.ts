import type { Resource } from '../owned/resource.ts'
import type { ExportedTable, Reason } from './table.ts'

const tokenSalt = 'gives a token together with the secret of the service'
const tokenHash = 'identifies a token'

/**
 * Every table with rows of users, besides those of resources. test/src/export/tables.test.ts compares it with the schema
 * of the database: a new table or column has to be added here, or left out with a reason.
 */
const tables: readonly ExportedTable[] = [
  {
    table: 'users',
    owner: 'id',
    columns: [
      'email',
      'name',
      'email_verified',
      'issuer',
      'subject',
      'named_by',
      'created_at',
      'banned_at',
      'banned_until',
      'ban_reason',
    ],
    withheld: { password_hash: 'passwords could be guessed from it' },
    key: ['id'],
  },
  {
    table: 'account_claims',
    owner: 'user_id',
    columns: ['waiting', 'contested'],
    withheld: {},
    key: ['user_id'],
  },
  {
    table: 'sessions',
    owner: 'user_id',
    columns: [
      'id',
      'generation',
      'ip',
      'user_agent',
      'created_at',
      'last_used_at',
      'idle_expires_at',
      'expires_at',
      'authenticated_at',
      'second_factor',
    ],
    withheld: { salt: tokenSalt },
    key: ['id'],
  },
  {
    table: 'ended_sessions',
    owner: 'user_id',
    columns: ['id', 'ended_at'],
    withheld: { salt: tokenSalt },
    key: ['id'],
  },
  {
    table: 'password_resets',
    owner: 'user_id',
    columns: ['ip', 'at'],
    withheld: {},
    key: ['user_id'],
  },
  {
    table: 'revocations',
    owner: 'user_id',
    columns: ['id', 'session_id', 'key_id', 'created_at', 'issued_until', 'ends_at', 'ban'],
    withheld: { xid: 'a number of a transaction of the database' },
    key: ['id'],
  },
  {
    table: 'security_events',
    owner: 'user_id',
    columns: ['id', 'at', 'event', 'session_id', 'key_id', 'client_id', 'ip', 'seal_id'],
    withheld: {},
    key: ['id'],
  },
  {
    table: 'api_keys',
    owner: 'user_id',
    columns: ['id', 'name', 'scopes', 'created_at', 'expires_at', 'last_used_at'],
    withheld: { hash: 'identifies a key' },
    key: ['id'],
  },
  {
    table: 'totp_factors',
    owner: 'user_id',
    columns: ['id', 'created_at', 'confirmed_at', 'last_step'],
    withheld: {
      secret: 'makes codes, once decrypted',
      sealed_by: 'says which secret of the service decrypts it',
    },
    key: ['user_id', 'id'],
  },
  {
    table: 'used_mfa_tokens',
    owner: 'user_id',
    columns: ['expires_at'],
    withheld: { token_hash: tokenHash },
    key: ['token_hash'],
  },
  {
    table: 'one_time_tokens',
    owner: 'user_id',
    columns: ['purpose', 'email', 'expires_at'],
    withheld: { token_hash: tokenHash, salt: tokenSalt },
    key: ['token_hash'],
  },
  {
    table: 'mail_outbox',
    owner: 'user_id',
    columns: [
      'id',
      'message_id',
      'kind',
      'mail',
      'state',
      'recipient',
      'mailbox',
      'ip',
      'beyond_share',
      'attempts',
      'last_error',
      'created_at',
      'next_attempt_at',
    ],
    withheld: { token_hash: tokenHash },
    key: ['id'],
  },
  {
    table: 'idempotency_keys',
    owner: 'user_id',
    columns: ['operation', 'outcome', 'created_at'],
    withheld: {
      key_mac: 'the MAC of an Idempotency-Key',
      body_mac: 'the MAC of a request, from which a password could be guessed',
    },
    key: ['operation', 'key_mac'],
  },
]

/** Tables with rows of users of which nothing is exported, but for the counts of resources. */
export const leftOut: Readonly<Record<string, Reason>> = {
  events:
    'a copy for other services, kept for 7 days: security_events has the same, and more of each; without an index by user',
  webhook_deliveries: 'copies of the events that are being sent to WEBHOOK_URL',
  recovery_codes: 'has MACs of the codes and nothing else; GET /api/auth/mfa says how many are left',
}

/** The tables of an export, those of the resources included. */
export function exportedTables(resources: readonly Resource[]): ExportedTable[] {
  return [...tables, ...resources.map(tableOf)]
}

/** Why each table with rows of users that is not in the export is not. */
export function tablesLeftOut(resources: readonly Resource[]): Readonly<Record<string, Reason>> {
  const counts = resources.flatMap(({ tables: [rows, ...counts] }) =>
    counts.map((table) => [table, `an estimate of the number of rows in ${rows}`]),
  )
  return { ...leftOut, ...Object.fromEntries(counts) }
}

function tableOf({ name, fields }: Resource): ExportedTable {
  const columns = ['id', ...fields.map((field) => field.name), 'version', 'created_at', 'updated_at']
  return { table: name, owner: 'user_id', columns, withheld: {}, key: ['id'] }
}
