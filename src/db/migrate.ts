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
  /** Called before the first migration is applied. */
  readonly onBegin?: (() => void) | undefined
  /** Called when another instance is migrating. */
  readonly onWait?: (() => void) | undefined
  /** Called with the pid of the backend that migrates, for cancelling it. */
  readonly onBackend?: ((pid: number) => void) | undefined
  /** Milliseconds to wait for another instance, and for each lock on a table. */
  readonly lockTimeoutMs?: number
}

const minute = 60_000

/** Timed out waiting for another instance's migration or for a table lock. Nothing has been changed. */
export class MigrationWaited extends Error {
  override name = 'MigrationWaited'
  /** lock_not_available: a retry may succeed. */
  readonly code = '55P03'
}

/** Names of the migrations that have not been applied to the database. */
export async function pendingMigrations(db: Db): Promise<string[]> {
  return pendingOf(await findApplied(db, Object.keys(migrations)))
}

function pendingOf({ names }: Applied): string[] {
  return Object.keys(migrations)
    .sort()
    .filter((name) => !names.includes(name))
}

/**
 * Applies all pending migrations or none, in one transaction that also holds the lock: a second instance waits and
 * finds nothing to do, and no lock leaks into a pooler. A schema newer than this code is left alone, so that an older
 * instance can run beside a newer one.
 * @returns names of the migrations applied
 * @throws DatabaseRefused, MigrationWaited, and errors of the database
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

/** Overrides settings of the role and the database. @returns the pid of the backend */
async function beginMigration(trx: Trx, lockTimeoutMs: number): Promise<number> {
  // After waiting for the lock, see what another instance has committed.
  await sql`set transaction isolation level read committed`.execute(trx)
  await sql`select set_config(name, '0', true) from pg_catalog.pg_settings where name in
    ('statement_timeout', 'idle_in_transaction_session_timeout', 'transaction_timeout')`.execute(trx)
  const { rows } = await sql<{ pid: number }>`
    select pg_backend_pid() as pid, set_config('lock_timeout', ${String(lockTimeoutMs)}, true)`.execute(trx)
  return rows[0]?.pid as number
}

/** One lock per schema. Not Kysely's id: earlier versions may have leaked its session lock into a pooler. */
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
    // The table of an adopter's resource may have a later number than what the next release adds.
    allowUnorderedMigrations: true,
  })
  const { error, results } = await migrator.migrateToLatest()
  if (error !== undefined) throw error
  return (results ?? []).map((result) => result.migrationName)
}
