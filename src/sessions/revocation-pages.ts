import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import { committedSince } from '../feeds/committed-since.ts'
import { type PageRow, type Position, positionAfter } from '../feeds/position.ts'
import type { Revocation } from './revocations.ts'

/** Rows per statement: few enough for the statement timeout. */
const pageRows = 2_000

export interface Page {
  readonly revocations: Revocation[]
  /** Where to continue: within the pass while it has a `page`. */
  readonly position: Position
}

interface Row extends PageRow {
  readonly session_id: string | null
  readonly user_id: string | null
  readonly key_id: string | null
  readonly issued_until: number
  readonly ban: boolean
  readonly ends_at: number
}

/**
 * Reads the next page of revocations: everything live without a position, otherwise what has committed since. Each row
 * is read at least once.
 * @throws PositionLost
 */
export async function readRevocations(db: Db, position: Position, limit = pageRows): Promise<Page> {
  const { since } = position
  const page =
    since === undefined ? live(position, limit) : committedSince<Row>(source, { ...position, since }, limit)
  const rows = await db.selectFrom(page.as('page')).selectAll().execute()
  return { revocations: rows.flatMap(toRevocation), position: positionAfter(rows, position, limit) }
}

const columns = sql`id, session_id, user_id, key_id, ends_at, xid, ban,
  coalesce(issued_until, created_at) as issued_until`

/** Epoch numbers, whose format no DateStyle changes. */
const shown = sql`r.id, r.session_id, r.user_id, r.key_id, r.ban, extract(epoch from r.issued_until)::float8 as issued_until,
  extract(epoch from r.ends_at)::float8 as ends_at`

const source = { table: 'revocations', columns, shown }

/** In order of their end, which skips expired rows that are not deleted yet. */
function live({ page }: Position, limit: number) {
  const [end = null, id = 0] = page?.after ?? []
  return sql<Row>`(
    select pg_current_snapshot()::text as snapshot, false as lost,
      extract(epoch from r.ends_at)::text as key, ${shown}
    from (values (1)) one left join lateral (
      select ${columns} from revocations
      where (ends_at, id) > (coalesce(to_timestamp(${end}::float8), now()), ${id}::bigint)
      order by ends_at, id limit ${limit}
    ) r on true
    order by r.ends_at, r.id
  )`
}

function toRevocation({ id, session_id, user_id, key_id, issued_until, ban, ends_at }: Row): Revocation[] {
  if (id === null) return []
  const endsAt = Math.ceil(ends_at)
  if (session_id !== null) return [{ session: session_id, endsAt }]
  if (key_id !== null) return [{ key: key_id, endsAt }]
  if (ban) return [{ banned: user_id as string, until: issued_until, revision: id, endsAt }]
  return [{ user: user_id as string, at: issued_until, endsAt }]
}
