import { setTimeout as delay } from 'node:timers/promises'
import { Kysely } from 'kysely'
import pg from 'pg'
import { Client, clientConfig, withClient } from './client.ts'
import { PipeliningDialect, PoolingDialect } from './driver.ts'
import { boundEnd, breakWhenUseless } from './giving-up.ts'
import { type MigrateOptions, migrate } from './migrate.ts'
import { Pipeline } from './pipeline.ts'
import { prepareStatements, StatementNames } from './prepared.ts'
import { named, type UrlVariable } from './refusals.ts'
import type { Database, Db } from './schema.ts'
import { checkTlsFiles } from './tls-files.ts'

interface PostgresOptions {
  readonly url: string
  readonly poolSize: number
  /** Told of a connection that broke while no statement was under way on it. */
  readonly onIdleError: (error: Error) => void
  /** Bounds a statement; a migration has none. */
  readonly timeouts?: boolean
  /** Whether the server keeps statements, see src/db/prepared.ts. */
  readonly prepare?: boolean
}

/** Milliseconds after which the server gives a statement up, and after which nobody waits for the server any more. */
const statementTimeout = 2_000
const silenceTimeout = 4_000

/** Sent by itself, on a connection that is this process's own. */
const sessionSettings = `set statement_timeout = ${statementTimeout}; set default_transaction_isolation = 'read committed'`

/** Of a pooler's connection, on which nothing may outlive the transaction. One message, as `begin` would be. */
const boundedBegin = `start transaction isolation level read committed; set local statement_timeout = ${statementTimeout}`

/** Milliseconds to wait for a connection: for one that is in use, or for a new one. */
const connectionTimeout = 1_000

const goodbyeTimeout = 3_000

/** Connections that reads share; one server process answers each. */
const readLanes = 2

/**
 * Opens a pool on PostgreSQL, and pipelines for reads and inserts beside it; all connect when first used, so a
 * database that is away does not throw here.
 */
export function openPostgres({
  url,
  poolSize,
  onIdleError,
  timeouts = true,
  prepare = false,
}: PostgresOptions): Db {
  const names = prepare ? new StatementNames() : undefined
  const client = {
    ...clientConfig(url, timeouts ? connectionTimeout : 5_000),
    ...(timeouts ? { query_timeout: silenceTimeout } : {}),
  }
  const setUp = (connected: pg.ClientBase) => {
    if (timeouts) breakWhenUseless(connected)
    if (!names) return
    // Not startup parameters, which poolers refuse.
    if (timeouts) connected.query(sessionSettings).catch(onIdleError)
    prepareStatements(connected, names)
  }
  const pool = new pg.Pool({ ...client, max: poolSize, Client: Client as unknown as new () => pg.ClientBase })
  pool.on('error', onIdleError)
  boundEnd(pool, goodbyeTimeout)
  pool.on('connect', (connected) => {
    // The pool listens only while it has the client: between two statements of a transaction nobody would, and an
    // error that nobody listens for ends the process.
    connected.on('error', onIdleError)
    setUp(connected)
  })
  // A pooler that gives each transaction another connection gives none to a pipeline for good either.
  if (!prepare) {
    return new Kysely<Database>({ dialect: new PoolingDialect({ pool }, timeouts ? boundedBegin : 'begin') })
  }
  const pipelines = (length: number) =>
    Array.from({ length }, () => new Pipeline({ client, onIdleError, onConnect: setUp }))
  // An insert waits for the disk, and PostgreSQL writes for several at once: as many as the pool would let wait.
  const lanes = { reads: pipelines(readLanes), inserts: pipelines(poolSize) }
  return new Kysely<Database>({ dialect: new PipeliningDialect({ pool }, lanes, goodbyeTimeout) })
}

export interface MigrateRun extends Pick<MigrateOptions, 'onBegin' | 'onWait'> {
  /** Ends it, also where it waits; what it has done is undone. */
  readonly signal?: AbortSignal | undefined
}

/** Milliseconds that the server has to hear of an end. */
const cancelTimeout = 1_000

/** Brings the schema up to date on a connection of its own, which waits as long as a migration needs. */
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

/** A server does not notice that nobody waits for a statement any more. */
async function cancel(url: string, backend: number | undefined): Promise<void> {
  if (backend === undefined) return
  await withClient(clientConfig(url, cancelTimeout), undefined, (client) =>
    client.query('select pg_cancel_backend($1)', [backend]),
  ).catch(() => {})
}
