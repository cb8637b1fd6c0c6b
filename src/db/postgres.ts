import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import { migrate } from './migrate.ts'
import type { Database, Db } from './schema.ts'
import { parsers } from './types.ts'

interface PostgresOptions {
  readonly url: string
  readonly poolSize: number
  /** Told of a connection that broke while no statement was under way on it. */
  readonly onIdleError: (error: Error) => void
  /** Bounds a statement; a migration has none. */
  readonly timeouts?: boolean
}

/** Milliseconds after which the server gives a statement up, and after which nobody waits for the server any more. */
const statementTimeout = 5_000
const silenceTimeout = 7_000

const goodbyeTimeout = 3_000

/** Opens a pool on PostgreSQL; it connects when first used, so a database that is away does not throw here. */
export function openPostgres({ url, poolSize, onIdleError, timeouts = true }: PostgresOptions): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    application_name: 'latchkey',
    connectionTimeoutMillis: 5_000,
    keepAlive: true,
    types: { getTypeParser },
    ...(timeouts ? { query_timeout: silenceTimeout } : {}),
  })
  pool.on('error', onIdleError)
  boundEnd(pool)
  pool.on('connect', (client) => {
    // The pool listens only while it has the client: between two statements of a transaction nobody would, and an
    // error that nobody listens for ends the process.
    client.on('error', onIdleError)
    if (timeouts) {
      breakWhenSilent(client)
      // Not a startup parameter, which poolers refuse.
      client.query(`set statement_timeout = ${statementTimeout}`).catch(onIdleError)
    }
  })
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
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

/**
 * A statement that was not answered leaves its connection waiting: whoever got it next would wait too. Where the
 * network drops packets silently that is every connection there is, so such a one is broken, and the pool makes
 * another.
 */
function breakWhenSilent(client: pg.PoolClient): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
  const watched = (...args: unknown[]) => {
    const answer = query(...args)
    // Absent where the caller gave a callback; Kysely and this file do not.
    answer?.catch((error: Error) => {
      if (error.message === 'Query read timeout') streamOf(client).destroy()
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

function streamOf(client: pg.PoolClient): { destroy(): void } {
  return (client as unknown as { connection: { stream: { destroy(): void } } }).connection.stream
}

// biome-ignore lint/suspicious/noExplicitAny: pg's own type for a value parser
function getTypeParser(oid: number, format?: any): any {
  return (format !== 'binary' && parsers[oid]) || pg.types.getTypeParser(oid, format)
}
