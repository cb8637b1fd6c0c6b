import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { resolve } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { banner, isExposed } from './commands/banner.ts'
import { importOptions, runImport } from './commands/import.ts'
import { runKeys } from './commands/keys.ts'
import { prepareSchema, waiting } from './commands/prepare-schema.ts'
import { type Config, loadConfig } from './config/config.ts'
import { developmentSecret, KeptSecretUnusable } from './config/development-secret.ts'
import { readEnvFile } from './config/env-file.ts'
import { ConfigError, knownVariables } from './config/environment.ts'
import { DataFolderInUse } from './db/data-folder-in-use.ts'
import { EmbeddedDatabaseFailed, needsUnprepared } from './db/errors.ts'
import { MigrationWaited } from './db/migrate.ts'
import { openDatabase } from './db/open.ts'
import { DataFolderUnusable, madePrivate } from './db/private-folder.ts'
import { DatabaseRefused } from './db/refusals.ts'
import { ImportStopped } from './import/import.ts'
import { SigningKeyError } from './keys/signing-keys.ts'
import { RedisRefusal } from './limits/redis-refusal.ts'

type Command = (config: Config) => Promise<void>

/**
 * The process: the only reader of its environment. `serve` (the default) listens until a signal; `migrate` brings
 * the schema up to date, `keys` shows or rotates the signing keys, `import` makes accounts of a file, and all three end.
 */
const commands: Record<string, Command> = {
  serve,
  migrate: runMigrations,
  'keys list': runKeys.list,
  'keys rotate': runKeys.rotate,
  'keys rotate --now': runKeys.rotateNow,
}

const usage = 'usage: serve | migrate | keys list | keys rotate [--now] | import <file> [--report <file>]'

/** What the words after the file's name ask for; only `import` takes words of the operator's own. */
function commandOf([first, ...rest]: string[]): Command | undefined {
  if (first === 'import') {
    const options = importOptions(rest)
    return options && ((config) => runImport(config, options))
  }
  const name = [first, ...rest].join(' ') || 'serve'
  return Object.hasOwn(commands, name) ? commands[name] : undefined
}

/** As process 1 of a container, node ignores a signal that nothing listens for: until serving begins, one ends it. */
const endAtOnce = (signal: NodeJS.Signals) => process.exit(128 + constants.signals[signal])

async function main(): Promise<void> {
  process.on('SIGTERM', endAtOnce).on('SIGINT', endAtOnce)
  loadEnvFile()
  const command = commandOf(process.argv.slice(2))
  if (!command) throw new ConfigError(usage)
  const config = loadConfig(process.env, developmentSecret)
  await command(config).catch((error: unknown) => {
    throw dataDirFault(error, config)
  })
}

/** The environment wins over the file. */
function loadEnvFile(): void {
  if (!existsSync('.env')) return
  const { values, warnings } = readEnvFile(readBytes('.env'), knownVariables)
  for (const warning of warnings) process.stderr.write(`latchkey: warning: ${warning}\n`)
  for (const [name, value] of Object.entries(values)) process.env[name] ??= value
}

function readBytes(file: string): Uint8Array {
  try {
    return readFileSync(file)
  } catch (error) {
    throw new ConfigError(`${file} cannot be read (${(error as NodeJS.ErrnoException).code})`)
  }
}

async function serve(config: Config): Promise<void> {
  const database = await openDatabase(config, (err) => {
    if (!(err instanceof EmbeddedDatabaseFailed)) app.log.warn({ err }, 'trouble with the database')
    else
      process.nextTick(() => {
        throw err
      })
  })
  // Only now: a command, or a configuration that cannot be used, has no need of the web framework.
  const { buildApp } = await import('./app.ts')
  const app: FastifyInstance = await buildApp(config, {
    ...database,
    prepare: (signal) => prepareSchema(database, config, app.log, signal),
    listenFirst: true,
  })
  app.log.info({ version: packageVersion(), node: process.version, mode: config.mode }, 'starting')
  // From here on, a signal or a fault closes what was opened.
  process.off('SIGTERM', endAtOnce).off('SIGINT', endAtOnce)
  let closing = false
  const grace = closeWithGrace({ delay: 10_000, logger: app.log }, async ({ err, signal }) => {
    closing = true
    if (err) app.log.fatal({ err }, 'closing after an unexpected error')
    app.log.info({ ...(signal ? { signal } : {}) }, 'draining')
    await app.drain()
    await app.close()
    app.log.info('stopped')
  })
  if (madePrivate.length > 0) {
    const paths = { first: madePrivate[0], count: madePrivate.length }
    app.log.info(paths, 'DATA_DIR was open to other users of this machine, and is not any more')
  }
  const address = await app.listenOn(config).catch((error: unknown) => {
    throw listenFault(error, config)
  })
  if (isExposed(config)) {
    app.log.warn(`${config.mode} mode listens on HOST=${config.host}, beyond this machine`)
  }

  let started: Promise<void> | undefined
  try {
    // The banner says where to go, so it comes when requests are served, or when that is going to take its time.
    const putOff = new Promise<void>((resolve) => {
      started = app.startWork(resolve)
    })
    await Promise.race([started, putOff, delay(bannerDelay, undefined, { ref: false })])
    process.stdout.write(banner(config, address, { redisAway: app.counters.away === true }))
    await started
    app.log.info('ready')
  } catch (error) {
    if (closing) return
    grace.uninstall()
    app.log.fatal(`cannot start: ${explain(error)}`)
    await Promise.race([app.close(), delay(closeDelay)]).catch(() => {})
    throw error
  }
}

/** Milliseconds after which a start that is not done yet tells where the process listens. */
const bannerDelay = 5_000

/** Milliseconds that a start which has failed waits for what it has opened. */
const closeDelay = 5_000

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

async function runMigrations(config: Config): Promise<void> {
  const { db, migrate } = await openDatabase(config, () => {})
  try {
    const applied = await migrate({ onWait: () => process.stderr.write(`latchkey: ${waiting}\n`) })
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the schema is up to date\n',
    )
  } finally {
    await db.destroy()
  }
}

/** Names the variable behind a folder that the embedded database cannot be kept in. */
function dataDirFault(error: unknown, { database, dataDir }: Config): unknown {
  const { code, path } = error as NodeJS.ErrnoException
  const isInside = path !== undefined && resolve(path).startsWith(resolve(dataDir))
  if (database.kind !== 'embedded' || code === undefined || !isInside) return error
  return new ConfigError(`DATA_DIR must be a folder that this process can write to (${code})`)
}

/** Names the variable behind an address that cannot be listened on. */
function listenFault(error: unknown, { port }: Config): unknown {
  const { code } = error as NodeJS.ErrnoException
  if (code === 'EACCES')
    return new ConfigError(`PORT ${port} must be one that this user may listen on (EACCES)`)
  if (code !== undefined && ['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN', 'EINVAL'].includes(code)) {
    return new ConfigError(`HOST must be an address or a name of this machine (${code})`)
  }
  return error
}

interface StartError extends NodeJS.ErrnoException {
  readonly port?: number
  /** By which the database was to be reached. */
  readonly variable?: string
}

/** One line for what the operator can mend; a stack only for what is a fault of this program. */
function explain(error: unknown): string {
  const mendable = [
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
  if (mendable.some((kind) => error instanceof kind)) return (error as Error).message
  const { code, message, stack, port, variable } = error as StartError
  if (variable !== undefined) return `${variable}: the database is away: ${message || code}`
  if (code === '42P05') return needsUnprepared
  if (code === 'EADDRINUSE') return `port ${port} is in use; set PORT to another one`
  if (code !== undefined) return `cannot start: ${message || code}`
  return stack ?? String(error)
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error).replace(/^/gm, 'latchkey: ')}\n`)
  process.exit(1)
})
