import { cpSync } from 'node:fs'
import { join } from 'node:path'

/** A migrated, empty embedded database, made by before.ts. */
export const snapshotFile = join(import.meta.dirname, '../..', 'test-database.tar')

export const snapshotFolder = join(import.meta.dirname, '../..', 'test-database')

/** Spares a service that is about to start in `dataDir` the making of its database. */
export function seedDataFolder(dataDir: string): void {
  cpSync(snapshotFolder, join(dataDir, 'pglite'), { recursive: true })
}
