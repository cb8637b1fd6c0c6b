import { chmodSync, lstatSync, mkdirSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'

/** DATA_DIR cannot be used, for a reason that the operator can mend. */
export class DataFolderUnusable extends Error {
  override name = 'DataFolderUnusable'
  constructor(dataDir: string, reason: string) {
    super(`DATA_DIR ${dataDir} ${reason}`)
  }
}

/** What was open to other users of the machine and is so no longer; for the log, which there is only later. */
export const madePrivate: string[] = []

/** Bits of a mode that let in another user than the owner. */
const others = 0o077

/** What may be in a folder that is used as DATA_DIR. */
const ours =
  /^(lock|pglite|pglite\.unfinished|secret_key|secret_key\.[\w-]+\.tmp|lost\+found|\.(gitkeep|gitignore|DS_Store))$/

/**
 * Makes a folder for this user alone if it is not there, as PostgreSQL asks of its data directory (chapter 18.2): it
 * holds password hashes and a secret. One of this user that is open to others is closed to them.
 * @throws DataFolderUnusable
 */
export function ensurePrivateFolder(dataDir: string): void {
  try {
    // Not its parents: where one was removed, Node's recursive way never ends.
    mkdirSync(dataDir, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      throw new DataFolderUnusable(dataDir, 'cannot be made: its parent folder does not exist')
    if (code !== 'EEXIST') throw new DataFolderUnusable(dataDir, `cannot be made: ${code}`)
  }
  const stats = statSync(dataDir)
  if (!stats.isDirectory()) throw new DataFolderUnusable(dataDir, 'is not a folder')
  if (isForeign(stats)) {
    throw new DataFolderUnusable(
      dataDir,
      `belongs to another user (uid ${stats.uid}): name a folder of this user`,
    )
  }
  if (!isOpen(stats)) return
  // A mistaken DATA_DIR, such as /tmp, is not ours to close.
  if (!readdirSync(dataDir).every((name) => ours.test(name))) {
    throw new DataFolderUnusable(
      dataDir,
      'is open to other users and holds files of something else: name a folder of its own, or chmod 700 it',
    )
  }
  close(dataDir, dataDir, stats)
}

/**
 * Closes a file, or a folder with all that is in it, to other users. Links are not followed.
 * @throws DataFolderUnusable
 */
export function ensurePrivate(dataDir: string, path: string): void {
  const stats = lstatSync(path, { throwIfNoEntry: false })
  if (stats === undefined || stats.isSymbolicLink()) return
  if (isForeign(stats)) {
    throw new DataFolderUnusable(dataDir, `has a file of another user (uid ${stats.uid}): ${path}`)
  }
  if (isOpen(stats)) close(dataDir, path, stats)
  if (stats.isDirectory()) for (const name of readdirSync(path)) ensurePrivate(dataDir, join(path, name))
}

/** Windows has neither owners nor modes that Node could ask for. */
function isForeign({ uid }: Stats): boolean {
  return process.geteuid !== undefined && uid !== process.geteuid()
}

function isOpen({ mode }: Stats): boolean {
  return process.geteuid !== undefined && (mode & others) !== 0
}

function close(dataDir: string, path: string, { mode }: Stats): void {
  chmodSync(path, mode & 0o7777 & ~others)
  if (isOpen(statSync(path))) {
    throw new DataFolderUnusable(
      dataDir,
      'is on a file system without permissions: name a folder on another one',
    )
  }
  madePrivate.push(path)
}
