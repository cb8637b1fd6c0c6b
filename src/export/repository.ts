import { type Kysely, sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { ExportedTable } from './table.ts'

export type ExportedRow = Readonly<Record<string, unknown>>

/** For the types of statements on any table. */
type AnyTables = Record<string, Record<string, unknown>>

/** Rows of one statement: bounds memory, and how long it holds up others. */
const pageSize = 100

/** The exported columns of the owner's rows in one table, page by page, each a statement of its own. */
export async function* ownedPages(
  db: Db,
  owner: OwnerId,
  { table, owner: ownerColumn, columns, key }: ExportedTable,
): AsyncGenerator<ExportedRow[]> {
  const own = (db as unknown as Kysely<AnyTables>)
    .selectFrom(table)
    .select([...new Set([...columns, ...key])])
    .where(ownerColumn, '=', owner)
    .limit(pageSize)
  const inOrder = key.reduce((query, column) => query.orderBy(column), own)
  const keyColumns = sql.join(key.map((column) => sql.ref(column)))
  for (let after: ExportedRow | undefined, more = true; more; ) {
    const last = after
    const page = last
      ? inOrder.where(
          sql<boolean>`(${keyColumns}) > (${sql.join(key.map((column) => sql.val(last[column])))})`,
        )
      : inOrder
    const rows = await page.execute()
    if (rows.length > 0) yield rows.map((row) => only(columns, row))
    after = rows.at(-1)
    more = rows.length === pageSize
  }
}

function only(columns: readonly string[], row: ExportedRow): ExportedRow {
  return Object.fromEntries(columns.map((column) => [column, row[column]]))
}
