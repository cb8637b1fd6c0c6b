import type { Config } from '../config/config.ts'
import type { CountConnections } from './connection-counts.ts'
import type { Listen } from './listen.ts'
import { migrate } from './migrate.ts'
import type { MigrateRun } from './postgres.ts'
import type { Db } from './schema.ts'

export interface OpenDatabase {
  /** Closed by `destroy()`. */
  readonly db: Db
  /** Undefined when embedded, and behind a pooler without LISTEN_DATABASE_URL: no notifications arrive there. */
  readonly listen: Listen | undefined
  readonly countConnections: CountConnections
  /** For events of this process too; undefined behind a pooler. */
  readonly listenToEvents: Listen | undefined
  /** Checks connection and settings. @throws DatabaseRefused */
  readonly check: (run?: CheckRun) => Promise<void>
  /** Brings the schema up to date. @returns names of the migrations applied */
  readonly migrate: (run?: MigrateRun) => Promise<string[]>
}

export interface CheckRun {
  readonly signal?: AbortSignal | undefined
  readonly warn?: ((message: string) => void) | undefined
}

/**
 * Opens the configured database. Only the driver in use is loaded.
 * @param onTrouble called with errors of idle connections and of the embedded database as a whole
 * @throws DataFolderInUse when another process has the embedded database open
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  onTrouble: (error: Error) => void,
): Promise<OpenDatabase> {
  if (database.kind === 'postgres') {
    const { url, migrateUrl = url, prepare, listenUrl = prepare ? url : undefined } = database
    const [{ migratePostgres, openCountedPostgres }, { listenOn }, { checkPostgres }, { checkListening }] =
      await Promise.all([
        import('./postgres.ts'),
        import('./listen.ts'),
        import('./check.ts'),
        import('./check-listening.ts'),
      ])
    const migrateVariable = migrateUrl === url ? 'DATABASE_URL' : 'MIGRATE_DATABASE_URL'
    // Behind a pooler LISTEN would outlive the transaction, and receive nothing.
    const listen = listenUrl === undefined ? undefined : listenOn(listenUrl)
    return {
      ...openCountedPostgres({ ...database, onIdleError: onTrouble }),
      listen,
      listenToEvents: listen,
      check: async (run) => {
        await checkPostgres({ variable: 'DATABASE_URL', url, prepare, ...run })
        if (listenUrl !== undefined && !(prepare && listenUrl === url))
          await checkListening({ url: listenUrl, notifyingUrl: url, ...run })
      },
      migrate: (run) => migratePostgres(migrateUrl, migrateVariable, run),
    }
  }
  const { openEmbedded } = await import('./embedded.ts')
  const db = await openEmbedded(database.dataDir, onTrouble)
  return {
    db,
    listen: undefined,
    listenToEvents: db.listen,
    countConnections: () => [{ pool: 'embedded', states: { open: 1 } }],
    check: async () => {},
    migrate: (run) => migrate(db, run),
  }
}
