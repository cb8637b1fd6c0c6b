/** pg_snapshot that contains no transaction. */
export const emptySnapshot = '1:1:'

/**
 * How far a reader of a table has come. Plain data, independent of the reader: any instance can continue from it.
 *
 * A transaction that commits late has an older id and time than rows already read, so neither can be a cursor. A
 * snapshot can: it lists the transactions in flight, and each row has the id of the one that last changed it.
 */
export interface Position {
  /** pg_snapshot whose rows have all been read; undefined before the first read. */
  readonly since?: string | undefined
  /** Within a pass of several pages. */
  readonly page?: {
    /** pg_snapshot of the first page, which becomes `since` after the last one. */
    readonly until: string
    /** Sort key of the last row: its transaction, or what else the pass is ordered by. */
    readonly after: readonly [key: string, id: number]
  }
}

/** The position is of another database, or of a server that a lagging replica has replaced. */
export class PositionLost extends Error {
  override name = 'PositionLost'

  constructor() {
    super('the position is ahead of the database')
  }
}

/** The text of a cursor is invalid, or of another database. */
export class CursorInvalid extends Error {
  override name = 'CursorInvalid'
}

/** What a statement returns of each row beside the row itself. With no row there is one whose `id` is null. */
export interface PageRow {
  /** The statement's own pg_snapshot. */
  readonly snapshot: string
  readonly lost: boolean
  readonly id: number | null
  readonly key: string
}

/**
 * Where to continue after a page: within the pass while the result has a `page`.
 * @param limit rows that the page could have
 * @throws PositionLost
 */
export function positionAfter(rows: readonly PageRow[], position: Position, limit: number): Position {
  const [first] = rows
  // Only the stub of src/db/disconnected.ts returns no row.
  if (!first) return { since: position.since ?? emptySnapshot }
  if (first.lost) throw new PositionLost()
  const until = position.page?.until ?? first.snapshot
  const last = rows.at(-1)
  if (rows.length < limit || !last || last.id === null) return { since: until }
  return { since: position.since, page: { until, after: [last.key, last.id] } }
}
