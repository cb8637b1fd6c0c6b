import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { Revocation } from './revocations.ts'

/** Rows that one statement reads: few enough for its time limit, however many there are. */
const pageRows = 2_000

/** pg_snapshot that contains no transaction. */
const emptySnapshot = '1:1:'

/**
 * How far a reader has come. Plain data that says nothing of the reader: any instance can go on from it.
 *
 * What commits late has an older id and an older time than what was read before it, so neither can be a cursor. A
 * snapshot can: it names the transactions that had not ended yet, and each row names the one that changed it last.
 */
export interface Position {
  /** pg_snapshot: all that it contains has been read. Undefined where nothing has. */
  readonly since?: string | undefined
  /** Between two pages. */
  readonly page?: {
    /** pg_snapshot of the first page, which becomes `since` after the last one. */
    readonly until: string
    /** Sort key of the last row: its end where everything live is read, its transaction otherwise. */
    readonly after: readonly [key: string, id: number]
  }
}

export interface Page {
  readonly revocations: Revocation[]
  /** From where to go on: within a pass while it has a `page`. */
  readonly position: Position
}

/** The position is one of another database, or of a server that was replaced by one that is behind it. */
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
  readonly issued_until: number
  readonly ends_at: number
}

/**
 * Reads the next page of what has been revoked: everything live from no position, and from one, what has committed
 * since. Each row at least once.
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
  // Only the stand-in of src/db/disconnected.ts answers no row.
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

const columns = sql`id, session_id, user_id, ends_at, xid, coalesce(issued_until, created_at) as issued_until`

/** Numbers, which no setting of the session changes the form of. */
const shown = sql`r.id, r.session_id, r.user_id, extract(epoch from r.issued_until)::float8 as issued_until,
  extract(epoch from r.ends_at)::float8 as ends_at`

/** By their end, so that what has expired and is not yet removed is not read. */
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
 * Of the transactions that were running in the snapshot, each by itself, and of those that came after it: a search of
 * the index that does not grow with how long some transaction of the cluster has been running.
 */
function newer({ page }: Position, since: string, limit: number) {
  const [, first = '0', running = ''] = since.split(':')
  const [xid, id] = page?.after ?? ['0', 0]
  const isLater = BigInt(xid) >= BigInt(first)
  const late =
    isLater || running === '' ? [] : running.split(',').filter((each) => BigInt(each) >= BigInt(xid))
  // Ranges of the index in its order, with one condition on where each begins: no other plan is as good.
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

function toRevocation({ id, session_id, user_id, issued_until, ends_at }: Row): Revocation[] {
  if (id === null) return []
  const endsAt = Math.ceil(ends_at)
  if (session_id !== null) return [{ session: session_id, endsAt }]
  return [{ user: user_id as string, at: issued_until, endsAt }]
}
