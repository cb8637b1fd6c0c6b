import { closeSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock } from 'fs-native-extensions'
import { DataFolderInUse } from './data-folder-in-use.ts'
import { ensurePrivate, ensurePrivateFolder } from './private-folder.ts'

/**
 * Takes a folder for this process alone, making it first. The lock is the kernel's, so it ends with the process,
 * however that ends.
 * @returns gives the folder back
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
