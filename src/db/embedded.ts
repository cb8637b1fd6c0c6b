import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { tryLock } from 'fs-native-extensions'
import { Kysely, PGliteDialect } from 'kysely'
import type { Database, Db } from './schema.ts'
import { parsers } from './types.ts'

/** Another process has the data folder. */
export class DataFolderInUse extends Error {
  override name = 'DataFolderInUse'
  constructor(dataDir: string) {
    super(`DATA_DIR ${dataDir} is in use by another process; stop it, or set DATA_DIR to another folder`)
  }
}

/**
 * Opens the embedded database in `dataDir`, making it on the first start.
 *
 * PGlite lets two processes open one folder and then loses rows that it acknowledged, so the folder is taken
 * under a lock of the kernel's first: it ends with the process, however that ends.
 * @throws DataFolderInUse
 */
export async function openEmbedded(dataDir: string): Promise<Db> {
  mkdirSync(dataDir, { recursive: true })
  const lock = openSync(join(dataDir, 'lock'), 'a')
  if (!tryLock(lock)) {
    closeSync(lock)
    throw new DataFolderInUse(dataDir)
  }
  const pglite = await PGlite.create({ dataDir: join(dataDir, 'pglite'), parsers })
  return new EmbeddedKysely(pglite, lock)
}

/** Gives the folder back only after PGlite has closed it. */
class EmbeddedKysely extends Kysely<Database> {
  readonly #pglite: PGlite
  readonly #lock: number

  constructor(pglite: PGlite, lock: number) {
    super({ dialect: new PGliteDialect({ pglite }) })
    this.#pglite = pglite
    this.#lock = lock
  }

  override async destroy(): Promise<void> {
    await super.destroy()
    // Kysely leaves an instance that never had a query open.
    if (!this.#pglite.closed) await this.#pglite.close()
    closeSync(this.#lock)
  }
}
