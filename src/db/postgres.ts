import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { PipeliningDialect } from './driver.ts'
import { migrate } from './migrate.ts'
import { Pipeline, streamOf } from './pipeline.ts'
import { prepareStatements, StatementNames } from './prepared.ts'
import type { Database, Db } from './schema.ts'
import { parsers } from './types.ts'

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
    connectionString: url,
    application_name: 'latchkey',
    connectionTimeoutMillis: timeouts ? connectionTimeout : 5_000,
    keepAlive: true,
    types: { getTypeParser },
    ...(timeouts ? { query_timeout: silenceTimeout } : {}),
  }
  const setUp = (connected: pg.ClientBase) => {
    if (timeouts) {
      breakWhenUseless(connected)
      // Not a startup parameter, which poolers refuse.
      connected.query(`set statement_timeout = ${statementTimeout}`).catch(onIdleError)
    }
    if (names) prepareStatements(connected, names)
  }
  const pool = new pg.Pool({ ...client, max: poolSize })
  pool.on('error', onIdleError)
  boundEnd(pool)
  pool.on('connect', (connected) => {
    // The pool listens only while it has the client: between two statements of a transaction nobody would, and an
    // error that nobody listens for ends the process.
    connected.on('error', onIdleError)
    setUp(connected)
  })
  // A pooler that gives each transaction another connection gives none to a pipeline for good either.
  if (!prepare) return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
  const pipelines = (length: number) =>
    Array.from({ length }, () => new Pipeline({ client, onIdleError, onConnect: setUp }))
  // An insert waits for the disk, and PostgreSQL writes for several at once: as many as the pool would let wait.
  const lanes = { reads: pipelines(readLanes), inserts: pipelines(poolSize) }
  return new Kysely<Database>({ dialect: new PipeliningDialect({ pool }, lanes, goodbyeTimeout) })
}

/** Brings the schema up to date on a connection of its own, which waits as long as a migration needs. */
export async function migratePostgres(url: string): Promise<string[]> {
  const db = openPostgres({ url, poolSize: 1, onIdleError: () => {}, timeouts: false })
  try {
    return await migrate(db)
  } finally {
    await db.destroy()
  }
}

/** Of a statement that would write where nothing can be written. */
const readOnly = '25006'

/**
 * A statement that was not answered leaves its connection waiting: whoever got it next would wait too. Where the
 * network drops packets silently that is every connection there is, so such a one is broken, and the pool makes
 * another. So is one to a server that is not the primary any more: the next may lead to the one that is.
 */
function breakWhenUseless(client: pg.ClientBase): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
  const watched = (...args: unknown[]) => {
    const answer = query(...args)
    // Absent where the caller gave a callback; Kysely and this file do not.
    answer?.catch((error: pg.DatabaseError) => {
      if (error.message === 'Query read timeout' || error.code === readOnly) streamOf(client).destroy()
    })
    return answer
  }
  client.query = watched as typeof client.query
}

/** Lets connections say goodbye, but not wait for an answer that may never come: a stop must not hang on the network. */
function boundEnd(pool: pg.Pool): void {
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', (client) => clients.add(client))
  pool.on('remove', (client) => clients.delete(client))
  const end = pool.end.bind(pool) as () => Promise<void>
  pool.end = async () => {
    const cut = setTimeout(() => {
      for (const client of clients) streamOf(client).destroy()
    }, goodbyeTimeout)
    await end().finally(() => clearTimeout(cut))
  }
}

// biome-ignore lint/suspicious/noExplicitAny: pg's own type for a value parser
function getTypeParser(oid: number, format?: any): any {
  return (format !== 'binary' && parsers[oid]) || pg.types.getTypeParser(oid, format)
}
