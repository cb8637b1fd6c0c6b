import { join } from 'node:path'

/** A migrated, empty embedded database, made by before.ts. */
export const snapshotFile = join(import.meta.dirname, '..', 'test-database.tar')
