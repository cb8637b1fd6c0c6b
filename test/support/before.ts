import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'
import { contractFile } from './contract-file.ts'
import { snapshotFile, snapshotFolder } from './snapshot.ts'

/** Inputs of the database's cache key. */
function fingerprint(): string {
  const db = join(import.meta.dirname, '../../src/db')
  const files = readdirSync(db, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.js'))
  const hash = createHash('sha256')
  for (const path of [
    ...files.sort().map((file) => join(db, file)),
    import.meta.filename,
    'package-lock.json',
  ])
    hash.update(readFileSync(path))
  return hash.digest('hex')
}

/** Creating an embedded database takes seconds, loading a copy does not. */
async function makeSnapshot(): Promise<void> {
  const { Kysely, PGliteDialect } = await import('kysely')
  const { GuardedPGlite } = await import('../../src/db/guarded-pglite.ts')
  const { migrate } = await import('../../src/db/migrate.ts')
  rmSync(snapshotFolder, { recursive: true, force: true })
  mkdirSync(snapshotFolder, { recursive: true })
  const pglite = new GuardedPGlite({ dataDir: snapshotFolder })
  const db = new Kysely<import('../../src/db/schema.ts').Database>({
    dialect: new PGliteDialect({ pglite }),
  })
  await migrate(db)
  await pglite.exec('checkpoint')
  await db.destroy()
  // Dumped after a clean shutdown, so that copies need no recovery.
  execFileSync('tar', ['-cf', snapshotFile, '-C', snapshotFolder, '.'])
}

const stamp = `${snapshotFile}.sha256`
const current = fingerprint()
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== current) {
  await makeSnapshot()
  writeFileSync(stamp, current)
}
writeFileSync(contractFile, JSON.stringify(parse(readFileSync('openapi.yaml', 'utf8'))))
