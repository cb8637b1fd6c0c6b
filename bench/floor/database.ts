import { join } from 'node:path'
import { PGlite } from '@electric-sql/pglite'
import pg from 'pg'
import { parsers } from '../../src/db/types.ts'

export type Row = Record<string, unknown>

/** One statement, prepared by its name where there is a server to prepare it. */
export type Query = (name: string, text: string, values: unknown[]) => Promise<Row[]>

/** A pool of the service's size, named statements, no query builder. */
export async function openFloorDatabase({ DATABASE_URL, DATA_DIR = '' }: NodeJS.ProcessEnv): Promise<Query> {
  if (!DATABASE_URL) {
    const pglite = await PGlite.create({ dataDir: join(DATA_DIR, 'pglite'), parsers })
    return async (_name, text, values) => (await pglite.query<Row>(text, values)).rows
  }
  const pool = new pg.Pool({
    connectionString: DATABASE_URL,
    max: 5,
    types: { getTypeParser: (oid: number) => parsers[oid] ?? pg.types.getTypeParser(oid) },
  })
  return async (name, text, values) => (await pool.query<Row>({ name, text, values })).rows
}
