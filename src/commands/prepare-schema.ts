import type { Config } from '../config/config.ts'
import { ConfigError } from '../config/environment.ts'
import { pendingMigrations } from '../db/migrate.ts'
import type { OpenDatabase } from '../db/open.ts'

interface Log {
  info(fields: object, message: string): void
  info(message: string): void
  warn(message: string): void
}

export const waiting = "waiting for another instance's migration"

/**
 * Migrates the schema, or with MIGRATE_ON_START=false checks that nothing is pending.
 * @throws ConfigError, DatabaseRefused, and connection errors
 */
export async function prepareSchema(
  database: OpenDatabase,
  { migrateOnStart }: Pick<Config, 'migrateOnStart'>,
  log: Log,
  signal: AbortSignal,
): Promise<void> {
  await database.check({ signal, warn: (message) => log.warn(message) })
  if (!migrateOnStart) {
    return assertSchemaIsCurrent(database, ' and MIGRATE_ON_START=false: run `npm run migrate` first')
  }
  const applied = await database.migrate({
    signal,
    onBegin: () => log.info('migrating'),
    onWait: () => log.info(waiting),
  })
  if (applied.length > 0) log.info({ migrations: applied }, 'migrated')
  await assertSchemaIsCurrent(
    database,
    ': MIGRATE_DATABASE_URL leads to another database or schema than DATABASE_URL',
  )
}

/** For a command that does not migrate. */
export async function requireSchema(database: OpenDatabase): Promise<void> {
  await database.check()
  await assertSchemaIsCurrent(database, ': run `npm run migrate` first')
}

async function assertSchemaIsCurrent({ db }: OpenDatabase, why: string): Promise<void> {
  if ((await pendingMigrations(db)).length === 0) return
  throw new ConfigError(`the database schema is behind${why}`)
}
