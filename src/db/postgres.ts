import { setTimeout as delay } from 'node:timers/promises'
import { Kysely } from 'kysely'
import pg from 'pg'
import { Client, clientConfig, withClient } from './client.ts'
import { type CountConnections, ofPipelines, ofPool } from './connection-counts.ts'
import { boundEnd, breakWhenUseless } from './giving-up.ts'
import { type MigrateOptions, migrate } from './migrate.ts'
import { Pipeline } from './pipeline.ts'
import { PipeliningDialect } from './pipelining-driver.ts'
import { PoolingDialect } from './pooling-driver.ts'
import { prepareStatements, StatementNames } from './prepared.ts'
import { named, type UrlVariable } from './refusals.ts'
import type { Database, Db } from './schema.ts'
import { checkTlsFiles } from './tls-files.ts'

interface PostgresOptions {
  readonly url: string
  readonly poolSize: number
  /** Called when an idle connection breaks. */
  readonly onIdleError: (error: Error) => void
  /** Whether statements are bounded; migrations are not. */
  readonly timeouts?: boolean
  /** Whether to prepare statements, see src/db/prepared.ts. */
  readonly prepare?: boolean
}

/** Milliseconds: of the server, and of the client in case the server does not respond. */
const statementTimeout = 2_000
const silenceTimeout = 4_000

/** For connections without a pooler. */
const sessionSettings = `set statement_timeout = ${statementTimeout}; set default_transaction_isolation = 'read committed'`

/** Behind a pooler, where no setting may outlive the transaction. One message, like `begin`. */
const boundedBegin = `start transaction isolation level read committed; set local statement_timeout = ${statementTimeout}`

/** Milliseconds to wait for a connection of the pool. */
const connectionTimeout = 1_000

const goodbyeTimeout = 3_000

/** Connections for pipelined reads. */
const readLanes = 2

/** Opens a pool, and pipelines for reads and inserts. All connect on first use, so this does not throw. */
export function openPostgres(options: PostgresOptions): Db {
  return openCountedPostgres(options).db
}

/** The same, and how many connections there are. */
export function openCountedPostgres({
  url,
  poolSize,
  onIdleError,
  timeouts = true,
  prepare = false,
}: PostgresOptions): { readonly db: Db; readonly countConnections: CountConnections } {
  const names = prepare ? new StatementNames() : undefined
  const client = {
    ...clientConfig(url, timeouts ? connectionTimeout : 5_000),
    ...(timeouts ? { query_timeout: silenceTimeout } : {}),
  }
  const setUp = (connected: pg.ClientBase) => {
    if (timeouts) breakWhenUseless(connected)
    if (!names) return
    // Not as startup parameters, which poolers refuse.
    if (timeouts) connected.query(sessionSettings).catch(onIdleError)
    prepareStatements(connected, names)
  }
  const pool = new pg.Pool({ ...client, max: poolSize, Client: Client as unknown as new () => pg.ClientBase })
  pool.on('error', onIdleError)
  boundEnd(pool, goodbyeTimeout)
  pool.on('connect', (connected) => {
    // The pool listens only while the client is idle, and an `error` event without a listener ends the process.
    connected.on('error', onIdleError)
    setUp(connected)
  })
  // No pipelines behind a pooler in transaction mode: it gives no client a connection of its own.
  if (!prepare) {
    const dialect = new PoolingDialect({ pool }, timeouts ? boundedBegin : 'begin')
    return { db: new Kysely<Database>({ dialect }), countConnections: () => [ofPool(pool)] }
  }
  const pipelines = (length: number) =>
    Array.from({ length }, () => new Pipeline({ client, onIdleError, onConnect: setUp }))
  // PostgreSQL commits several inserts in one fsync (group commit), so as many as the pool has connections.
  const lanes = { reads: pipelines(readLanes), inserts: pipelines(poolSize) }
  const dialect = new PipeliningDialect({ pool }, lanes, goodbyeTimeout)
  const countConnections = () => [
    ofPool(pool),
    ...Object.entries(lanes).map(([name, lane]) => ofPipelines(name, lane)),
  ]
  return { db: new Kysely<Database>({ dialect }), countConnections }
}

export interface MigrateRun extends Pick<MigrateOptions, 'onBegin' | 'onWait'> {
  /** Cancels the migration, also while it waits, which rolls it back. */
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds. */
const cancelTimeout = 1_000

/** Migrates on a dedicated connection without a statement timeout. */
export async function migratePostgres(
  url: string,
  variable: UrlVariable = 'DATABASE_URL',
  { signal, ...callbacks }: MigrateRun = {},
): Promise<string[]> {
  signal?.throwIfAborted()
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {}, timeouts: false })
  let backend: number | undefined
  let ended: Promise<void> | undefined
  const end = () => {
    ended = Promise.race([cancel(url, backend), delay(cancelTimeout)]).then(() => db.destroy())
    ended.catch(() => {})
  }
  signal?.addEventListener('abort', end, { once: true })
  try {
    return await named(variable, async () => {
      checkTlsFiles(url)
      return migrate(db, {
        ...callbacks,
        onBackend: (pid) => {
          backend = pid
        },
      })
    })
  } finally {
    signal?.removeEventListener('abort', end)
    await (ended ?? db.destroy())
  }
}

/** A server does not notice that its client is gone while a statement runs. */
async function cancel(url: string, backend: number | undefined): Promise<void> {
  if (backend === undefined) return
  await withClient(clientConfig(url, cancelTimeout), undefined, (client) =>
    client.query('select pg_cancel_backend($1)', [backend]),
  ).catch(() => {})
}
