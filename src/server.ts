import { existsSync } from 'node:fs'
import { constants } from 'node:os'
import closeWithGrace from 'close-with-grace'
import { ImportStopped } from './accounts/import.ts'
import { banner } from './banner.ts'
import { type Config, ConfigError, loadConfig } from './config.ts'
import { DataFolderInUse } from './db/data-folder-in-use.ts'
import { EmbeddedDatabaseFailed } from './db/errors.ts'
import { pendingMigrations } from './db/migrate.ts'
import { type OpenDatabase, openDatabase } from './db/open.ts'
import { importOptions, runImport } from './import-command.ts'
import { runKeys } from './keys-command.ts'
import { RedisRefusal } from './limits/redis-refusal.ts'
import { developmentSecret } from './tokens/secret.ts'
import { SigningKeyError } from './tokens/signing-keys.ts'

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
  if (existsSync('.env')) process.loadEnvFile('.env')
  const command = commandOf(process.argv.slice(2))
  if (!command) throw new ConfigError(usage)
  await command(loadConfig(process.env, developmentSecret))
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
  const app = await buildApp(config, { ...database, prepare: () => prepareSchema(database, config) })
  // From here on, a signal or a fault closes what was opened.
  process.off('SIGTERM', endAtOnce).off('SIGINT', endAtOnce)
  closeWithGrace({ delay: 10_000, logger: app.log }, async ({ err }) => {
    if (err) app.log.fatal({ err }, 'closing after an unexpected error')
    await app.drain()
    await app.close()
  })
  const address = await app.listen({ host: config.host, port: config.port })
  process.stdout.write(banner(config, address, { redisAway: app.counters.away === true }))
}

async function prepareSchema({ db, migrate }: OpenDatabase, { migrateOnStart }: Config): Promise<void> {
  if (migrateOnStart) {
    await migrate()
  } else if ((await pendingMigrations(db)).length > 0) {
    throw new ConfigError(
      'the database schema is behind and MIGRATE_ON_START=false: run `npm run migrate` first',
    )
  }
}

async function runMigrations(config: Config): Promise<void> {
  const { db, migrate } = await openDatabase(config, () => {})
  try {
    const applied = await migrate()
    process.stdout.write(
      applied.length > 0 ? `applied ${applied.join(', ')}\n` : 'the schema is up to date\n',
    )
  } finally {
    await db.destroy()
  }
}

/** One line for what the operator can mend; a stack only for what is a fault of this program. */
function explain(error: unknown): string {
  const mendable = [ConfigError, DataFolderInUse, ImportStopped, RedisRefusal, SigningKeyError]
  if (mendable.some((kind) => error instanceof kind)) return (error as Error).message
  const { code, message, stack, port } = error as NodeJS.ErrnoException & { port?: number }
  if (code === 'EADDRINUSE') return `port ${port} is in use; set PORT to another one`
  if (code !== undefined) return `cannot start: ${message || code}`
  return stack ?? String(error)
}

main().catch((error: unknown) => {
  process.stderr.write(`${explain(error).replace(/^/gm, 'latchkey: ')}\n`)
  process.exit(1)
})
