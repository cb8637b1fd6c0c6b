import type { Config } from '../config.ts'
import type { Db } from './schema.ts'

/**
 * Opens the database that the configuration names. `destroy()` closes it.
 * @throws DataFolderInUse when the embedded database's folder belongs to another process
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  onIdleError: (error: Error) => void,
): Promise<Db> {
  // Each loads its driver only where it is the one in use.
  if (database.kind === 'postgres') {
    const { openPostgres } = await import('./postgres.ts')
    return openPostgres({ ...database, onIdleError })
  }
  const { openEmbedded } = await import('./embedded.ts')
  return openEmbedded(database.dataDir)
}
