import { Kysely, PostgresDialect } from 'kysely'
import pg from 'pg'
import type { Database, Db } from './schema.ts'
import { parsers } from './types.ts'

interface PostgresOptions {
  readonly url: string
  readonly poolSize: number
  /** Told of a connection that broke while no statement was under way on it. */
  readonly onIdleError: (error: Error) => void
}

/** Opens a pool on PostgreSQL; it connects when first used, so a database that is away does not throw here. */
export function openPostgres({ url, poolSize, onIdleError }: PostgresOptions): Db {
  const pool = new pg.Pool({
    connectionString: url,
    max: poolSize,
    application_name: 'latchkey',
    connectionTimeoutMillis: 5_000,
    statement_timeout: 10_000,
    types: { getTypeParser },
  })
  pool.on('error', onIdleError)
  // The pool listens only while it has the client: between two statements of a transaction nobody would, and an
  // error that nobody listens for ends the process.
  pool.on('connect', (client) => client.on('error', onIdleError))
  return new Kysely<Database>({ dialect: new PostgresDialect({ pool }) })
}

// biome-ignore lint/suspicious/noExplicitAny: pg's own type for a value parser
function getTypeParser(oid: number, format?: any): any {
  return (format !== 'binary' && parsers[oid]) || pg.types.getTypeParser(oid, format)
}
