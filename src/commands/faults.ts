import { resolve } from 'node:path'
import type { Config } from '../config/config.ts'
import { KeptSecretUnusable } from '../config/development-secret.ts'
import { ConfigError } from '../config/environment.ts'
import { DataFolderInUse } from '../db/data-folder-in-use.ts'
import { needsUnprepared } from '../db/errors.ts'
import { MigrationWaited } from '../db/migrate.ts'
import { DataFolderUnusable } from '../db/private-folder.ts'
import { DatabaseRefused } from '../db/refusals.ts'
import { ImportStopped } from '../import/import.ts'
import { SigningKeyError } from '../keys/signing-keys.ts'
import { RedisRefusal } from '../limits/redis-refusal.ts'

/** Errors that the operator can fix; their message says how. */
const operatorErrors = [
  ConfigError,
  DatabaseRefused,
  DataFolderInUse,
  DataFolderUnusable,
  ImportStopped,
  KeptSecretUnusable,
  MigrationWaited,
  RedisRefusal,
  SigningKeyError,
]

interface StartError extends NodeJS.ErrnoException {
  readonly port?: number
  /** The variable with the URL of the database. */
  readonly variable?: string
}

/** One line for what the operator can fix; a stack for a bug. */
export function explain(error: unknown): string {
  if (operatorErrors.some((kind) => error instanceof kind)) return (error as Error).message
  const { code, message, stack, port, variable } = error as StartError
  if (variable !== undefined) return `${variable}: the database is away: ${message || code}`
  if (code === '42P05') return needsUnprepared
  if (code === 'EADDRINUSE') return `port ${port} is in use; set PORT to another one`
  if (code !== undefined) return `cannot start: ${message || code}`
  return stack ?? String(error)
}

/** Names DATA_DIR in a file system error inside the embedded database's folder. */
export function dataDirFault(error: unknown, { database, dataDir }: Config): unknown {
  const { code, path } = error as NodeJS.ErrnoException
  const isInside = path !== undefined && resolve(path).startsWith(resolve(dataDir))
  if (database.kind !== 'embedded' || code === undefined || !isInside) return error
  return new ConfigError(`DATA_DIR must be a folder that this process can write to (${code})`)
}

/** Names PORT, METRICS_PORT or HOST in an error of `listen`. */
export function listenFault(error: unknown, { port, metricsPort }: Config): unknown {
  const { code, port: failed } = error as StartError
  const isOfMetrics = failed !== undefined && failed === metricsPort
  if (code === 'EACCES') {
    const name = isOfMetrics ? `METRICS_PORT ${metricsPort}` : `PORT ${port}`
    return new ConfigError(`${name} must be one that this user may listen on (EACCES)`)
  }
  if (code === 'EADDRINUSE' && isOfMetrics)
    return new ConfigError(`METRICS_PORT ${failed} is in use; set it to another one`)
  if (code !== undefined && ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'].includes(code)) {
    return new ConfigError(`HOST must be an address or a name of this machine (${code})`)
  }
  return error
}
