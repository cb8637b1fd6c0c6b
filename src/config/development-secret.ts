import { randomBytes, randomUUID } from 'node:crypto'
import {
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readFileSync,
  renameSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { ensurePrivate, ensurePrivateFolder } from '../db/private-folder.ts'
import { secretWeakness } from '../tokens/secret.ts'

/** The secret in the data folder is invalid. The message names variable and file, never the value. */
export class KeptSecretUnusable extends Error {
  override name = 'KeptSecretUnusable'
}

/**
 * Reads the development secret from the data folder, and generates it on the first start. A weak or empty one is refused
 * and not replaced, which would end every session: the operator may be able to restore it.
 * @throws KeptSecretUnusable, DataFolderUnusable
 */
export function developmentSecret(dataDir: string): string {
  ensurePrivateFolder(dataDir)
  const file = join(dataDir, 'secret_key')
  ensurePrivate(dataDir, file)
  if (!existsSync(file)) keepSecret(dataDir, file, randomBytes(32).toString('base64url'))
  const secret = readFileSync(file, 'utf8').trim()
  const weakness = secretWeakness(secret)
  if (weakness === undefined) return secret
  throw new KeptSecretUnusable(
    `SECRET_KEY, kept in DATA_DIR as ${file}, ${weakness}; restore the file from a copy, or delete it for a new secret, with which every session ends`,
  )
}

/** Writes the file atomically; one that another process has made meanwhile wins. */
function keepSecret(dataDir: string, file: string, secret: string): void {
  const unfinished = `${file}.${randomUUID()}.tmp`
  writeFileSync(unfinished, secret, { flag: 'wx', mode: 0o600, flush: true })
  try {
    linkSync(unfinished, file)
    unlinkSync(unfinished)
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException
    // Not every file system supports hard links.
    if (code === 'EEXIST') unlinkSync(unfinished)
    else renameSync(unfinished, file)
  }
  // Windows cannot open a folder.
  if (process.platform !== 'win32') sync(dataDir)
}

function sync(path: string): void {
  const descriptor = openSync(path, 'r')
  try {
    fsyncSync(descriptor)
  } finally {
    closeSync(descriptor)
  }
}
