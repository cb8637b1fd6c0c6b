import type { Config } from '../config.ts'
import { openEmbedded } from './embedded.ts'
import { openPostgres } from './postgres.ts'
import type { Db } from './schema.ts'

/**
 * Opens the database that the configuration names. `destroy()` closes it.
 * @throws DataFolderInUse when the embedded database's folder belongs to another process
 */
export async function openDatabase(
  { database }: Pick<Config, 'database'>,
  onIdleError: (error: Error) => void,
): Promise<Db> {
  return database.kind === 'postgres'
    ? openPostgres({ ...database, onIdleError })
    : openEmbedded(database.dataDir)
}
