import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import { committedSince } from '../feeds/committed-since.ts'
import { emptySnapshot, type PageRow, type Position, positionAfter } from '../feeds/position.ts'
import { eventId, type PublishedEvent } from './event.ts'

/** Days that events are kept. */
export const keptDays = 7

/** Newest events that are kept, so that no flood fills the disk. */
export const maxKept = 1_000_000

/** Rows deleted by one statement. */
const deletedAtOnce = 5_000

/** Of a reader that wants all that is kept. */
export const start: Position = { since: emptySnapshot }

interface Row extends PageRow {
  readonly uid: string
  readonly at: string
  readonly type: string
  readonly user_id: string | null
  /** Whether an event was deleted that `since` does not contain; null where none was. */
  readonly expired: boolean | null
  readonly deleted: string | null
}

/** The position cannot be continued from: the clean-up has deleted events behind it that were not read. */
export class PositionExpired extends Error {
  override name = 'PositionExpired'
}

export interface EventPage {
  readonly events: readonly { readonly event: PublishedEvent; readonly after: Position }[]
  readonly position: Position
  /** Snapshot of the statement. */
  readonly snapshot: string
}

/** On a server that was restored, a marker may be ahead of every transaction, and is ignored. */
const newestDeleted = sql`
  from events_deleted d where d.xid < pg_snapshot_xmax(s.current) order by d.xid desc limit 1`

const markers = sql`
  (select not pg_visible_in_snapshot(d.xid, s.since) ${newestDeleted}) as expired,
  (select d.xid::text ${newestDeleted}) as deleted`

const source = {
  table: 'events',
  columns: sql`id, uid, at, type, user_id, xid`,
  shown: sql`r.id, r.uid, r.at, r.type, r.user_id, ${markers}`,
}

/**
 * Reads the next page of events in order of their transactions, each at least once.
 * @throws PositionLost, PositionExpired
 */
export async function readEvents(db: Db, position: Position, limit: number): Promise<EventPage> {
  const { since = emptySnapshot, page } = position
  const statement = committedSince<Row>(source, { since, ...(page ? { page } : {}) }, limit)
  const rows = await db.selectFrom(statement.as('page')).selectAll().execute()
  const next = positionAfter(rows, { ...position, since }, limit)
  const [first] = rows
  const snapshot = first?.snapshot ?? since
  if (first?.expired && isBehind({ ...position, since }, first.deleted ?? '0'))
    throw new PositionExpired('events have been deleted that the reader has not got')
  const until = page?.until ?? snapshot
  const events = rows.flatMap(({ id, key, uid, at, type, user_id }) =>
    id === null
      ? []
      : [
          {
            event: { id: eventId(uid), type, at, user_id },
            after: { since, page: { until, after: [key, id] as const } },
          },
        ],
  )
  return { events, position: next, snapshot }
}

/** Whether a reader has not read what was deleted: by its page, since an earlier one of the pass may have had it. */
function isBehind({ since, page }: Position, deleted: string): boolean {
  return page ? BigInt(deleted) >= BigInt(page.after[0]) : since !== emptySnapshot
}

/** Deletes events past {@link keptDays} and {@link maxKept}, oldest first, and notes how far. */
export async function deleteOldEvents(db: Db, kept = maxKept): Promise<void> {
  for (let deleted = deletedAtOnce; deleted === deletedAtOnce; ) {
    const { rows } = await sql<{ count: number }>`
      with oldest as materialized (
        select id, at from events order by id limit ${deletedAtOnce} for update skip locked
      ), removed as (
        delete from events where id in (
          select id from oldest
          where at < now() - make_interval(days => ${keptDays}) or id <= (select max(id) from events) - ${kept}::bigint
        ) returning xid
      ), noted as (
        insert into events_deleted (xid) select xid from removed order by xid desc limit 1
      )
      select count(*)::int as count from removed`.execute(db)
    deleted = rows[0]?.count ?? 0
  }
  await sql`
    delete from events_deleted d using (
      select xid from events_deleted where xid < pg_snapshot_xmax(pg_current_snapshot()) order by xid desc limit 1
    ) newest where d.xid <> newest.xid`.execute(db)
}
