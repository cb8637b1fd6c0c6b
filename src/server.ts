import { existsSync, readFileSync } from 'node:fs'
import { constants } from 'node:os'
import { setTimeout as delay } from 'node:timers/promises'
import closeWithGrace from 'close-with-grace'
import type { FastifyInstance } from 'fastify'
import { auditOptions, runAudit } from './commands/audit.ts'
import { banner, isExposed } from './commands/banner.ts'
import { runNewClient } from './commands/clients.ts'
import { dataDirFault, explain, listenFault } from './commands/faults.ts'
import { importOptions, runImport } from './commands/import.ts'
import { runKeys } from './commands/keys.ts'
import { mfaOptions, runMfaReset } from './commands/mfa.ts'
import { runMigrations } from './commands/migrate.ts'
import { prepareSchema } from './commands/prepare-schema.ts'
import type { Config } from './config/config.ts'
import { developmentSecret } from './config/development-secret.ts'
import { readEnvFile } from './config/env-file.ts'
import { ConfigError, knownVariables } from './config/environment.ts'
import { loadConfig } from './config/load-config.ts'
import { EmbeddedDatabaseFailed } from './db/errors.ts'
import { openDatabase } from './db/open.ts'
import { madePrivate } from './db/private-folder.ts'

type Command = (config: Config) => Promise<void>

/** What the process does, by its arguments. `serve` listens until a signal, the others end by themselves. */
const commands: Record<string, Command> = {
  serve,
  migrate: runMigrations,
  'keys list': runKeys.list,
  'keys rotate': runKeys.rotate,
  'keys rotate --now': runKeys.rotateNow,
}

const usage =
  'usage: serve | migrate | keys list | keys rotate [--now] | clients new <id> [scope ...] | import <file> [--report <file>] | mfa reset <user> | audit verify [--last <seal>]'

/** Milliseconds after which the banner is printed although the start is still pending. */
const bannerDelay = 5_000

/** Milliseconds that a failed start waits for what it has opened to close. */
const closeDelay = 5_000

/** Milliseconds for requests in flight after a signal. */
const graceDelay = 10_000

/** As process 1 of a container, Node ignores signals that have no listener: until `serve` listens, these end it. */
const endAtOnce = (signal: NodeJS.Signals) => process.exit(128 + constants.signals[signal])

/** The only reader of the process's environment and arguments. */
async function main(): Promise<void> {
  process.on('SIGTERM', endAtOnce).on('SIGINT', endAtOnce)
  const [first, second, ...rest] = process.argv.slice(2)
  // Before the configuration is read: it needs none, and may run where the service does not.
  if (first === 'clients' && second === 'new') return runNewClient(rest)
  loadEnvFile()
  const command = commandOf(process.argv.slice(2))
  if (!command) throw new ConfigError(usage)
  const config = loadConfig(process.env, developmentSecret)
  await command(config).catch((error: unknown) => {
    throw dataDirFault(error, config)
  })
}

/** Sets what .env has and the environment has not. */
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

function commandOf([first, ...rest]: string[]): Command | undefined {
  if (first === 'import') {
    const options = importOptions(rest)
    return options && ((config) => runImport(config, options))
  }
  if (first === 'mfa') {
    const options = mfaOptions(rest)
    return options && ((config) => runMfaReset(config, options))
  }
  if (first === 'audit') {
    const options = auditOptions(rest)
    return options && ((config) => runAudit(config, options))
  }
  const name = [first, ...rest].join(' ') || 'serve'
  return Object.hasOwn(commands, name) ? commands[name] : undefined
}

async function serve(config: Config): Promise<void> {
  const app = await openApp(config)
  app.log.info({ version: packageVersion(), node: process.version, mode: config.mode }, 'starting')
  const grace = closeOnSignal(app)
  warnOfOpenFolder(app)
  const address = await app.listenOn(config).catch((error: unknown) => {
    throw listenFault(error, config)
  })
  if (isExposed(config)) {
    app.log.warn(`${config.mode} mode listens on HOST=${config.host}, beyond this machine`)
  }
  try {
    await startWork(app, () => banner(config, address, { redisAway: app.counters.away === true }))
    app.log.info('ready')
  } catch (error) {
    if (grace.closing) return
    grace.uninstall()
    app.log.fatal(`cannot start: ${explain(error)}`)
    await Promise.race([app.close(), delay(closeDelay)]).catch(() => {})
    throw error
  }
}

async function openApp(config: Config): Promise<FastifyInstance> {
  const database = await openDatabase(config, (err) => {
    if (!(err instanceof EmbeddedDatabaseFailed)) app.log.warn({ err }, 'trouble with the database')
    else
      process.nextTick(() => {
        throw err
      })
  })
  // Imported late: the other commands and a refused configuration do not load the web framework.
  const { buildApp } = await import('./app.ts')
  const app: FastifyInstance = await buildApp(config, {
    ...database,
    prepare: (signal) => prepareSchema(database, config, app.log, signal),
    listenFirst: true,
  })
  return app
}

function packageVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8')
  return (JSON.parse(text) as { version: string }).version
}

/** From here on, a signal or an unexpected error drains and closes the app. */
function closeOnSignal(app: FastifyInstance) {
  const state = { closing: false, uninstall: () => grace.uninstall() }
  const grace = closeWithGrace({ delay: graceDelay, logger: app.log }, async ({ err, signal }) => {
    state.closing = true
    if (err) app.log.fatal({ err }, 'closing after an unexpected error')
    app.log.info({ ...(signal ? { signal } : {}) }, 'draining')
    await app.drain()
    await app.close()
    app.log.info('stopped')
  })
  // Last: a signal that is on its way while there is no listener is lost.
  process.off('SIGTERM', endAtOnce).off('SIGINT', endAtOnce)
  return state
}

function warnOfOpenFolder(app: FastifyInstance): void {
  if (madePrivate.length === 0) return
  const paths = { first: madePrivate[0], count: madePrivate.length }
  app.log.info(paths, 'DATA_DIR was open to other users of this machine, and is not any more')
}

/** Starts the work of the app, and prints the banner when it is done, put off or slow. */
async function startWork(app: FastifyInstance, text: () => string): Promise<void> {
  let started: Promise<void> | undefined
  const putOff = new Promise<void>((resolve) => {
    started = app.startWork(resolve)
  })
  await Promise.race([started, putOff, delay(bannerDelay, undefined, { ref: false })])
  process.stdout.write(text())
  await started
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error).replace(/^/gm, 'latchkey: ')}\n`)
  process.exit(1)
})
