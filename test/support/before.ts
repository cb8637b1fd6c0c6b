import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { Kysely, PGliteDialect } from 'kysely'
import { parse } from 'yaml'
import { GuardedPGlite } from '../../src/db/guarded-pglite.ts'
import { migrate } from '../../src/db/migrate.ts'
import type { Database } from '../../src/db/schema.ts'
import { contractFile } from './contract-file.ts'
import { snapshotFile, snapshotFolder } from './snapshot.ts'

// Making an embedded database takes seconds, loading a copy of one does not: made here once for all test files.
const pglite = new GuardedPGlite({})
const db = new Kysely<Database>({ dialect: new PGliteDialect({ pglite }) })
await migrate(db)
const snapshot = await pglite.dumpDataDir('none')
mkdirSync(dirname(snapshotFile), { recursive: true })
writeFileSync(snapshotFile, Buffer.from(await snapshot.arrayBuffer()))
await db.destroy()

// The same as a folder, for the tests that start the service as a process.
rmSync(snapshotFolder, { recursive: true, force: true })
const onDisk = new GuardedPGlite({ dataDir: snapshotFolder, loadDataDir: snapshot })
await onDisk.waitReady
await onDisk.close()

writeFileSync(contractFile, JSON.stringify(parse(readFileSync('openapi.yaml', 'utf8'))))
