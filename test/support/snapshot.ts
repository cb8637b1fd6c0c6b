import { cpSync } from 'node:fs'
import { join } from 'node:path'

/** A migrated, empty embedded database, made by before.ts. */
export const snapshotFile = join(import.meta.dirname, '../..', 'test-database.tar')

export const snapshotFolder = join(import.meta.dirname, '../..', 'test-database')

/** Copies the embedded database into `dataDir`, so that a service starts faster. */
export function seedDataFolder(dataDir: string): void {
  cpSync(snapshotFolder, join(dataDir, 'pglite'), { recursive: true })
}
