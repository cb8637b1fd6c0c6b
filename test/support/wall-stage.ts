import { randomBytes } from 'node:crypto'
import { sql } from 'kysely'
import type { Trx } from '../../src/db/schema.ts'
import { resources } from '../../src/resources/index.ts'
import { ownedTables } from './wall.ts'

/** A row of a user in each table that has owners, by table. */
// biome-ignore lint/suspicious/noExplicitAny: rows of any table
export type Rows = Record<string, any>

/** Values that a constraint or a statement asks for, by table and column. */
const wanted: Record<string, Record<string, unknown>> = {
  one_time_tokens: { purpose: 'email_change' },
  totp_factors: { confirmed_at: new Date().toISOString(), last_step: 1 },
  used_mfa_tokens: { expires_at: new Date(Date.now() + 60_000).toISOString() },
  mail_outbox: { kind: 'password_changed' },
  idempotency_keys: { operation: 'createTask', outcome: '{}' },
}

interface Column {
  readonly name: string
  readonly type: string
  readonly isRequired: boolean
}

/** Inserts a row of a user into every table that has owners. @returns them */
export async function stageRows(trx: Trx, userId: string): Promise<Rows> {
  const rows: Rows = {}
  for (const { table, column } of await ownedTables(trx)) {
    if (table !== 'users') await insertRow(trx, table, userId)
    const { rows: found } = await sql`select * from ${sql.table(table)} where ${sql.ref(column)} = ${userId}
      limit 1`.execute(trx)
    if (!found[0]) throw new Error(`${table}: the stage needs a row of each user`)
    rows[table] = found[0]
  }
  return rows
}

async function insertRow(trx: Trx, table: string, userId: string): Promise<void> {
  const { rows: columns } = await sql<Column>`
    select column_name as name, data_type as type,
      is_nullable = 'NO' and column_default is null and is_identity = 'NO' as "isRequired"
    from information_schema.columns where table_schema = current_schema() and table_name = ${table}`.execute(
    trx,
  )
  const values = columns.flatMap(({ name, type, isRequired }) => {
    if (name === 'user_id') return [[name, userId] as const]
    const value =
      wanted[table]?.[name] ?? (isRequired ? (declared(table, name) ?? sampleOf(type)) : undefined)
    return value === undefined ? [] : [[name, value] as const]
  })
  await sql`insert into ${sql.table(table)} (${sql.join(values.map(([name]) => sql.ref(name)))})
    values (${sql.join(values.map(([, value]) => value))}) on conflict do nothing`.execute(trx)
}

/** A value that the declaration of a resource allows; undefined where any of the type will do. */
function declared(table: string, column: string): unknown {
  const field = resources.find(({ name }) => name === table)?.fields.find(({ name }) => name === column)
  const {
    enum: choices,
    examples,
    minimum,
  } = (field?.schema ?? {}) as Record<string, unknown> & {
    enum?: unknown[]
    examples?: unknown[]
  }
  const value = choices?.[0] ?? examples?.[0] ?? minimum
  return value === undefined ? undefined : field?.parameterOf(value)
}

function sampleOf(type: string): unknown {
  if (type === 'bytea') return randomBytes(32)
  if (type === 'ARRAY') return '{tasks:read}'
  if (type === 'boolean') return false
  if (/^(integer|bigint|double precision)$/.test(type)) return 1
  if (type === 'date') return '2026-01-31'
  if (/^timestamp/.test(type)) return new Date(Date.now() + 3_600_000).toISOString()
  if (/^json/.test(type)) return '{}'
  return `stage ${randomBytes(6).toString('hex')}`
}
