import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import { Kysely, PGliteDialect } from 'kysely'
import { lockDataFolder } from './data-folder.ts'
import type { Database, Db } from './schema.ts'
import { parsers } from './types.ts'

/**
 * Opens the embedded database in `dataDir`, making it on the first start. PGlite lets two processes open one
 * folder and then loses rows that it acknowledged, so the folder is locked first.
 * @throws DataFolderInUse
 */
export async function openEmbedded(dataDir: string): Promise<Db> {
  const unlock = lockDataFolder(dataDir)
  const pglite = await PGlite.create({ dataDir: join(dataDir, 'pglite'), parsers })
  return new EmbeddedKysely(pglite, unlock)
}

/** Gives the folder back only after PGlite has closed it. */
class EmbeddedKysely extends Kysely<Database> {
  readonly #pglite: PGlite
  readonly #unlock: () => void

  constructor(pglite: PGlite, unlock: () => void) {
    super({ dialect: new PGliteDialect({ pglite }) })
    this.#pglite = pglite
    this.#unlock = unlock
  }

  override async destroy(): Promise<void> {
    await super.destroy()
    // Kysely leaves an instance that never had a query open.
    if (!this.#pglite.closed) await this.#pglite.close()
    this.#unlock()
  }
}
