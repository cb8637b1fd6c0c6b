import type { Config } from '../config/config.ts'
import type { Listen } from './listen.ts'
import { migrate } from './migrate.ts'
import type { MigrateRun } from './postgres.ts'
import type { Db } from './schema.ts'

export interface OpenDatabase {
  /** `destroy()` closes it. */
  readonly db: Db
  /** How other processes' messages arrive; undefined where there is no other process, or no way for them. */
  readonly listen: Listen | undefined
  /** Checks what no request could mend. @throws DatabaseRefused */
  readonly check: (run?: CheckRun) => Promise<void>
  /** Brings the schema up to date. @returns names of the migrations applied */
  readonly migrate: (run?: MigrateRun) => Promise<string[]>
}

export interface CheckRun {
  readonly signal?: AbortSignal | undefined
  readonly warn?: ((message: string) => void) | undefined
}

/**
 * Opens the database that the configuration names. Each kind loads its driver only where it is the one in use.
 * @param onTrouble told of what befalls it while nobody waits for an answer, or what concerns them all
 * @throws DataFolderInUse when the embedded database's folder belongs to another process
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  onTrouble: (error: Error) => void,
): Promise<OpenDatabase> {
  if (database.kind === 'postgres') {
    const { url, migrateUrl = url, prepare } = database
    const [{ migratePostgres, openPostgres }, { listenOn }, { checkPostgres }] = await Promise.all([
      import('./postgres.ts'),
      import('./listen.ts'),
      import('./check.ts'),
    ])
    const migrateVariable = migrateUrl === url ? 'DATABASE_URL' : 'MIGRATE_DATABASE_URL'
    return {
      db: openPostgres({ ...database, onIdleError: onTrouble }),
      // On a pooler's connection LISTEN would outlive the transaction, and hear nothing.
      listen: prepare ? listenOn(url) : undefined,
      check: (run) => checkPostgres({ variable: 'DATABASE_URL', url, prepare, ...run }),
      migrate: (run) => migratePostgres(migrateUrl, migrateVariable, run),
    }
  }
  const { openEmbedded } = await import('./embedded.ts')
  const db = await openEmbedded(database.dataDir, onTrouble)
  return { db, listen: undefined, check: async () => {}, migrate: (run) => migrate(db, run) }
}
