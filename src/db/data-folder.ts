import { closeSync, mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { tryLock } from 'fs-native-extensions'
import { DataFolderInUse } from './data-folder-in-use.ts'

/**
 * Takes a folder for this process alone, making it first. The lock is the kernel's, so it ends with the process,
 * however that ends.
 * @returns gives the folder back
 * @throws DataFolderInUse
 */
export function lockDataFolder(dataDir: string): () => void {
  mkdirSync(dataDir, { recursive: true })
  const lock = openSync(join(dataDir, 'lock'), 'a')
  if (!tryLock(lock)) {
    closeSync(lock)
    throw new DataFolderInUse(dataDir)
  }
  return () => closeSync(lock)
}
