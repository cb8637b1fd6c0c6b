import type { Db } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { ownedPages } from './repository.ts'
import type { ExportedTable, Reason } from './table.ts'

interface Account {
  /** The user among those of all issuers. */
  readonly owner: OwnerId
  /** Seconds since the epoch. */
  readonly now: number
}

/**
 * Everything held about an account, as JSON lines: `export` first, one line for each row, `end` last, without which it
 * is not complete. A piece is the lines of one page; the next one is read when the reader has taken it.
 */
export async function* exportLines(
  db: Db,
  { owner, now }: Account,
  tables: readonly ExportedTable[],
  leftOut: Readonly<Record<string, Reason>>,
): AsyncGenerator<string> {
  const withheld = tables
    .map(({ table, withheld }) => [table, Object.keys(withheld)] as const)
    .filter(([, columns]) => columns.length > 0)
  const head = {
    user_id: owner,
    at: new Date(now * 1000).toISOString(),
    withheld: Object.fromEntries(withheld),
    left_out: leftOut,
  }
  let piece = line('export', head)
  let count = 0
  for (const table of tables) {
    for await (const rows of ownedPages(db, owner, table)) {
      // Sent with the first rows: while the database is away, the answer can still be a 503.
      yield piece + rows.map((row) => line(table.table, row)).join('')
      piece = ''
      count += rows.length
    }
  }
  yield piece + line('end', { rows: count })
}

function line(kind: string, data: object): string {
  return `${JSON.stringify({ kind, data })}\n`
}
