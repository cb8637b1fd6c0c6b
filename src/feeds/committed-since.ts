import { type RawBuilder, sql } from 'kysely'
import type { PageRow, Position } from './position.ts'

/** A table whose rows have the transaction of their last change in `xid`, with an index on `(xid, id)`. */
export interface FeedTable {
  readonly table: string
  /** What is read of it: `id` and `xid` among others. */
  readonly columns: RawBuilder<unknown>
  /** What is returned, of `r`: `id` among others. */
  readonly shown: RawBuilder<unknown>
}

/**
 * Selects what has committed since a snapshot: rows of each transaction in flight at it, and of all later ones. Index
 * scans whose cost does not grow with the age of the oldest transaction.
 */
export function committedSince<Row extends PageRow>(
  { table, columns, shown }: FeedTable,
  { since, page }: Position & { readonly since: string },
  limit: number,
): RawBuilder<Row> {
  const [, first = '0', running = ''] = since.split(':')
  const [xid, id] = page?.after ?? ['0', 0]
  const isLater = BigInt(xid) >= BigInt(first)
  const late =
    isLater || running === '' ? [] : running.split(',').filter((each) => BigInt(each) >= BigInt(xid))
  // Index ranges in order, each with a single lower bound: the planner needs this form.
  const rest = sql`(
    select ${columns} from ${sql.table(table)}
    where (xid, id) > (${isLater ? xid : first}::xid8, ${isLater ? id : 0}::bigint) and xid < pg_snapshot_xmax(s.until)
    order by xid, id limit ${limit}
  )`
  const each = sql`(
    select found.* from unnest(${late}::xid8[]) as late(xid), lateral (
      select ${columns} from ${sql.table(table)}
      where (xid, id) > (late.xid, case late.xid when ${xid}::xid8 then ${id}::bigint else 0 end)
        and xid <= late.xid
      order by xid, id limit ${limit}
    ) found
  )`
  return sql<Row>`(
    select s.current::text as snapshot, pg_snapshot_xmax(s.since) > pg_snapshot_xmax(s.current) as lost,
      r.xid::text as key, ${shown}
    from (
      select ${since}::pg_snapshot as since, pg_current_snapshot() as current,
        coalesce(${page?.until ?? null}::pg_snapshot, pg_current_snapshot()) as until
    ) s left join lateral (
      ${late.length > 0 ? sql`${each} union all ${rest} order by xid, id limit ${limit}` : rest}
    ) r on true
    order by r.xid, r.id
  )`
}
