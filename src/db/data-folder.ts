import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock } from 'fs-native-extensions'
import { DataFolderInUse } from './data-folder-in-use.ts'
import { ensurePrivate, ensurePrivateFolder } from './private-folder.ts'

/**
 * Creates a folder if it is missing, and locks it for this process. The kernel releases the lock with the process,
 * after a SIGKILL too.
 * @returns releases the lock
 * @throws DataFolderInUse, DataFolderUnusable
 */
export function lockDataFolder(dataDir: string): () => void {
  ensurePrivateFolder(dataDir)
  const file = join(dataDir, 'lock')
  ensurePrivate(dataDir, file)
  const lock = openSync(file, 'a', 0o600)
  if (!tryLock(lock)) {
    closeSync(lock)
    throw new DataFolderInUse(dataDir)
  }
  return () => closeSync(lock)
}
