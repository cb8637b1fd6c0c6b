import { existsSync, mkdirSync, renameSync, rmSync, statfsSync } from 'node:fs'
import { join } from 'node:path'
import { Kysely, PGliteDialect } from 'kysely'
import { lockDataFolder } from './data-folder.ts'
import { EmbeddedDatabaseFailed } from './errors.ts'
import { GuardedPGlite, headroom, noRoom } from './guarded-pglite.ts'
import type { Listen } from './listen.ts'
import { listenEmbedded } from './listen-embedded.ts'
import { PrivateFiles } from './private-files.ts'
import { DataFolderUnusable, ensurePrivate } from './private-folder.ts'
import type { Database } from './schema.ts'
import { parsers } from './types.ts'

/**
 * Opens the embedded database in `dataDir`, creating it on the first start. PGlite lets two processes open one folder,
 * which loses acknowledged rows, so the folder is locked first.
 * @param onTrouble called for a full disk, and for a failure that ends the database
 * @throws DataFolderInUse, DataFolderUnusable, EmbeddedDatabaseFailed
 */
export async function openEmbedded(
  dataDir: string,
  onTrouble: (error: Error) => void,
): Promise<EmbeddedKysely> {
  const unlock = lockDataFolder(dataDir)
  const folder = join(dataDir, 'pglite')
  const freeBytes = () => {
    const { bavail, bsize } = statfsSync(dataDir)
    return bavail * bsize
  }
  try {
    if (existsSync(folder)) ensurePrivate(dataDir, folder)
    else await makeEmbedded(folder)
    const pglite = new GuardedPGlite({ fs: new PrivateFiles(folder), parsers, freeBytes, onTrouble })
    await pglite.waitReady
    return new EmbeddedKysely(pglite, unlock)
  } catch (cause) {
    unlock()
    if (cause instanceof DataFolderUnusable) throw cause
    // PGlite also throws values that are not an Error.
    const reason =
      cause instanceof Error ? cause.message.replace(/\n.*/s, '') : 'it cannot be read or written'
    const hint = freeBytes() < headroom ? `; ${noRoom}` : ''
    throw new EmbeddedDatabaseFailed(`the embedded database cannot be opened: ${reason}${hint}`, { cause })
  }
}

/** Creates an empty database in a temporary folder and renames it: PGlite does not detect an interrupted initdb. */
export async function makeEmbedded(folder: string): Promise<void> {
  const unfinished = `${folder}.unfinished`
  rmSync(unfinished, { recursive: true, force: true })
  mkdirSync(unfinished, { mode: 0o700 })
  const pglite = new GuardedPGlite({ fs: new PrivateFiles(unfinished) })
  await pglite.waitReady
  await pglite.close()
  renameSync(unfinished, folder)
}

/** Releases the folder only after PGlite has closed it. */
class EmbeddedKysely extends Kysely<Database> {
  readonly #pglite: GuardedPGlite
  readonly #unlock: () => void
  readonly listen: Listen

  constructor(pglite: GuardedPGlite, unlock: () => void) {
    super({ dialect: new PGliteDialect({ pglite }) })
    this.#pglite = pglite
    this.#unlock = unlock
    this.listen = listenEmbedded(pglite)
  }

  override async destroy(): Promise<void> {
    await super.destroy()
    // Kysely does not close an instance that never had a query.
    if (!this.#pglite.closed) await this.#pglite.close()
    this.#unlock()
  }
}
