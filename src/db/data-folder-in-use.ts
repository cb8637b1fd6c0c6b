/** Another process has the data folder. */
export class DataFolderInUse extends Error {
  override name = 'DataFolderInUse'
  constructor(dataDir: string) {
    super(`DATA_DIR ${dataDir} is in use by another process; stop it, or set DATA_DIR to another folder`)
  }
}
