import type { Config } from '../config.ts'
import type { Listen } from './listen.ts'
import { migrate } from './migrate.ts'
import type { Db } from './schema.ts'

export interface OpenDatabase {
  /** `destroy()` closes it. */
  readonly db: Db
  /** How other processes' messages arrive; undefined where there is no other process. */
  readonly listen: Listen | undefined
  /** Brings the schema up to date. @returns names of the migrations applied */
  readonly migrate: () => Promise<string[]>
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
    const { url } = database
    const [postgres, { listenOn }] = await Promise.all([import('./postgres.ts'), import('./listen.ts')])
    return {
      db: postgres.openPostgres({ ...database, onIdleError: onTrouble }),
      listen: listenOn(url),
      migrate: () => postgres.migratePostgres(url),
    }
  }
  const { openEmbedded } = await import('./embedded.ts')
  const db = await openEmbedded(database.dataDir, onTrouble)
  return { db, listen: undefined, migrate: () => migrate(db) }
}
