import type { Config } from '../config.ts'
import type { Listen } from './listen.ts'
import type { Db } from './schema.ts'

export interface OpenDatabase {
  /** `destroy()` closes it. */
  readonly db: Db
  /** How other processes' messages arrive; undefined where there is no other process. */
  readonly listen: Listen | undefined
}

/**
 * Opens the database that the configuration names. Each kind loads its driver only where it is the one in use.
 * @throws DataFolderInUse when the embedded database's folder belongs to another process
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  onIdleError: (error: Error) => void,
): Promise<OpenDatabase> {
  if (database.kind === 'postgres') {
    const [{ openPostgres }, { listenOn }] = await Promise.all([
      import('./postgres.ts'),
      import('./listen.ts'),
    ])
    return { db: openPostgres({ ...database, onIdleError }), listen: listenOn(database.url) }
  }
  const { openEmbedded } = await import('./embedded.ts')
  return { db: await openEmbedded(database.dataDir), listen: undefined }
}
