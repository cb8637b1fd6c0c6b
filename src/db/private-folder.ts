import { chmodSync, lstatSync, mkdirSync, readdirSync, type Stats, statSync } from 'node:fs'
import { join } from 'node:path'

/** DATA_DIR cannot be used until the operator changes something. */
export class DataFolderUnusable extends Error {
  override name = 'DataFolderUnusable'
  constructor(dataDir: string, reason: string) {
    super(`DATA_DIR ${dataDir} ${reason}`)
  }
}

/** Paths whose permissions were tightened, kept until there is a logger. */
export const madePrivate: string[] = []

/** Mode bits of group and others. */
const others = 0o077

/** Entries of a DATA_DIR. */
const ours =
  /^(lock|pglite|pglite\.unfinished|secret_key|secret_key\.[\w-]+\.tmp|lost\+found|\.(gitkeep|gitignore|DS_Store))$/

/**
 * Creates a folder with mode 0700 if it is missing, as PostgreSQL requires of its data directory (chapter 18.2): it
 * holds password hashes and a secret. Tightens the permissions of an existing one of this user.
 * @throws DataFolderUnusable
 */
export function ensurePrivateFolder(dataDir: string): void {
  try {
    // Not recursive: Node would loop for ever if a parent was removed meanwhile.
    mkdirSync(dataDir, { mode: 0o700 })
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    if (code === 'ENOENT')
      throw new DataFolderUnusable(dataDir, 'cannot be created: its parent folder does not exist')
    if (code !== 'EEXIST') throw new DataFolderUnusable(dataDir, `cannot be created: ${code}`)
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
  // A mistaken DATA_DIR, such as /tmp, must keep its permissions.
  if (!readdirSync(dataDir).every((name) => ours.test(name))) {
    throw new DataFolderUnusable(
      dataDir,
      'is open to other users and holds files of something else: name a folder of its own, or chmod 700 it',
    )
  }
  close(dataDir, dataDir, stats)
}

/**
 * Removes the permissions of group and others from a file, or a folder and all that is in it. Follows no links.
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

/** Windows has no owners and modes that Node could read. */
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
