import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { Revocation } from './revocations.ts'

/** Rows per statement: few enough for the statement timeout. */
const pageRows = 2_000

/** pg_snapshot that contains no transaction. */
const emptySnapshot = '1:1:'

/**
 * A reader's cursor. Plain data, independent of the reader: any instance can continue from it.
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
    /** Sort key of the last row: its end when reading everything live, otherwise its transaction. */
    readonly after: readonly [key: string, id: number]
  }
}

export interface Page {
  readonly revocations: Revocation[]
  /** Where to continue: within the pass while it has a `page`. */
  readonly position: Position
}

/** The position is of another database, or of a server that a lagging replica has replaced. */
export class PositionLost extends Error {
  override name = 'PositionLost'

  constructor() {
    super('the position is ahead of the database')
  }
}

interface Row {
  readonly snapshot: string
  readonly lost: boolean
  readonly id: number | null
  readonly key: string
  readonly session_id: string | null
  readonly user_id: string | null
  readonly key_id: string | null
  readonly issued_until: number
  readonly ends_at: number
}

/**
 * Reads the next page of revocations: everything live without a position, otherwise what has committed since. Each row
 * is read at least once.
 * @throws PositionLost
 */
export async function readRevocations(db: Db, position: Position, limit = pageRows): Promise<Page> {
  const rows = await db
    .selectFrom(
      (position.since === undefined ? live(position, limit) : newer(position, position.since, limit)).as(
        'page',
      ),
    )
    .selectAll()
    .execute()
  const [first] = rows
  // Only the stub of src/db/disconnected.ts returns no row.
  if (!first) return { revocations: [], position: { since: position.since ?? emptySnapshot } }
  if (first.lost) throw new PositionLost()
  const until = position.page?.until ?? first.snapshot
  const last = rows.at(-1)
  if (rows.length < limit || !last || last.id === null) {
    return { revocations: rows.flatMap(toRevocation), position: { since: until } }
  }
  return {
    revocations: rows.flatMap(toRevocation),
    position: { since: position.since, page: { until, after: [last.key, last.id] } },
  }
}

const table = sql.table('revocations')

const columns = sql`id, session_id, user_id, key_id, ends_at, xid, coalesce(issued_until, created_at) as issued_until`

/** Epoch numbers, whose format no DateStyle changes. */
const shown = sql`r.id, r.session_id, r.user_id, r.key_id, extract(epoch from r.issued_until)::float8 as issued_until,
  extract(epoch from r.ends_at)::float8 as ends_at`

/** In order of their end, which skips expired rows that are not deleted yet. */
function live({ page }: Position, limit: number) {
  const [end = null, id = 0] = page?.after ?? []
  return sql<Row>`(
    select pg_current_snapshot()::text as snapshot, false as lost,
      extract(epoch from r.ends_at)::text as key, ${shown}
    from (values (1)) one left join lateral (
      select ${columns} from ${table}
      where (ends_at, id) > (coalesce(to_timestamp(${end}::float8), now()), ${id}::bigint)
      order by ends_at, id limit ${limit}
    ) r on true
    order by r.ends_at, r.id
  )`
}

/**
 * Rows of each transaction in flight at the snapshot, and of all later ones: index scans whose cost does not grow with
 * the age of the oldest transaction.
 */
function newer({ page }: Position, since: string, limit: number) {
  const [, first = '0', running = ''] = since.split(':')
  const [xid, id] = page?.after ?? ['0', 0]
  const isLater = BigInt(xid) >= BigInt(first)
  const late =
    isLater || running === '' ? [] : running.split(',').filter((each) => BigInt(each) >= BigInt(xid))
  // Index ranges in order, each with a single lower bound: the planner needs this form.
  const rest = sql`(
    select ${columns} from ${table}
    where (xid, id) > (${isLater ? xid : first}::xid8, ${isLater ? id : 0}::bigint) and xid < pg_snapshot_xmax(s.until)
    order by xid, id limit ${limit}
  )`
  const each = sql`(
    select found.* from unnest(${late}::xid8[]) as late(xid), lateral (
      select ${columns} from ${table}
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

function toRevocation({ id, session_id, user_id, key_id, issued_until, ends_at }: Row): Revocation[] {
  if (id === null) return []
  const endsAt = Math.ceil(ends_at)
  if (session_id !== null) return [{ session: session_id, endsAt }]
  if (key_id !== null) return [{ key: key_id, endsAt }]
  return [{ user: user_id as string, at: issued_until, endsAt }]
}
