import { sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import {
  type Applied,
  adoptFormerTables,
  findApplied,
  migrationLockTable,
  migrationTable,
} from './migration-table.ts'
import { migrations } from './migrations/index.ts'
import { DatabaseRefused, noSchema, wrongEncoding } from './refusals.ts'
import type { Db, Trx } from './schema.ts'

export interface MigrateOptions {
  /** Called when it begins to change something. */
  readonly onBegin?: (() => void) | undefined
  /** Called when another instance is at it. */
  readonly onWait?: (() => void) | undefined
  /** Gets the server's process that migrates, so that it can be cancelled. */
  readonly onBackend?: ((pid: number) => void) | undefined
  /** Milliseconds to wait for another instance, and for each lock on a table. */
  readonly lockTimeoutMs?: number
}

const minute = 60_000

/** Waited too long for another instance's migration, or for a lock on a table. Nothing has been changed. */
export class MigrationWaited extends Error {
  override name = 'MigrationWaited'
  /** lock_not_available: another try may get it. */
  readonly code = '55P03'
}

/** Names of the migrations that this code knows and the database has not had. */
export async function pendingMigrations(db: Db): Promise<string[]> {
  return pendingOf(await findApplied(db, Object.keys(migrations)))
}

function pendingOf({ names }: Applied): string[] {
  return Object.keys(migrations)
    .sort()
    .filter((name) => !names.includes(name))
}

/**
 * Brings the schema up to date, all or nothing, in one transaction with its lock: a second instance waits and finds
 * nothing to do, and a pooler that hands connections on keeps no lock. A schema that is newer than this code is left
 * alone, so an older instance can go on beside it.
 * @returns names of the migrations applied
 * @throws DatabaseRefused, MigrationWaited, and what the database said
 */
export async function migrate(db: Db, options: MigrateOptions = {}): Promise<string[]> {
  const known = Object.keys(migrations)
  const before = await findApplied(db, known)
  if (before.encoding !== 'UTF8') throw new DatabaseRefused(wrongEncoding(before.encoding))
  if (before.schema === null) throw new DatabaseRefused(noSchema)
  if (pendingOf(before).length === 0 && !before.canAdopt) return []
  const { onBegin, onWait, onBackend, lockTimeoutMs = minute } = options
  return db.transaction().execute(async (trx) => {
    const backend = await beginMigration(trx, lockTimeoutMs)
    onBackend?.(backend)
    await takeLock(trx, onWait)
    const { schema, canAdopt, ...applied } = await findApplied(trx, known)
    if (schema === null) throw new DatabaseRefused(noSchema)
    const pending = pendingOf({ schema, canAdopt, ...applied })
    if (pending.length > 0) onBegin?.()
    try {
      if (canAdopt) await adoptFormerTables(trx, schema)
      return pending.length > 0 ? await run(trx, schema) : []
    } catch (cause) {
      if ((cause as { code?: unknown } | null)?.code !== '55P03') throw cause
      throw new MigrationWaited(
        'a migration waited too long for a lock on a table; end the transaction that holds it',
        {
          cause,
        },
      )
    }
  })
}

/** Whatever the role's or the database's settings are. @returns the server's process */
async function beginMigration(trx: Trx, lockTimeoutMs: number): Promise<number> {
  // What another instance has committed is to be seen after its lock was waited for.
  await sql`set transaction isolation level read committed`.execute(trx)
  await sql`select set_config(name, '0', true) from pg_catalog.pg_settings where name in
    ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`.execute(trx)
  const { rows } = await sql<{ pid: number }>`
    select pg_backend_pid() as pid, set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(trx)
  return rows[0]?.pid as number
}

/** One lock for each schema. Not Kysely's id, whose session lock earlier versions may have leaked into a pooler. */
const lockId = sql`hashtextextended('latchkey migrations ' || current_schema(), 0)`

async function takeLock(trx: Trx, onWait: MigrateOptions['onWait']): Promise<void> {
  const { rows } = await sql<{ free: boolean }>`select pg_try_advisory_xact_lock(${lockId}) as free`.execute(
    trx,
  )
  if (rows[0]?.free) return
  onWait?.()
  try {
    await sql`select pg_advisory_xact_lock(${lockId})`.execute(trx)
  } catch (cause) {
    if ((cause as { code?: unknown } | null)?.code !== '55P03') throw cause
    throw new MigrationWaited(
      "waited too long for another instance's migration; run it again when that has ended",
      {
        cause,
      },
    )
  }
}

async function run(trx: Trx, migrationTableSchema: string): Promise<string[]> {
  const migrator = new Migrator({
    db: trx,
    provider: { getMigrations: async () => migrations },
    migrationTableSchema,
    migrationTableName: migrationTable,
    migrationLockTableName: migrationLockTable,
  })
  const { error, results } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
  return (results ?? []).map((result) => result.migrationName)
}
