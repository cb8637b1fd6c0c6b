import { sql } from 'kysely'
import type { Db, Trx } from '../db/schema.ts'
import { type Seal, type SealedRow, sealedColumns } from './seal.ts'

export async function hasUnsealed(db: Db): Promise<boolean> {
  const row = await db
    .selectFrom('security_events')
    .select('id')
    .where('seal_id', 'is', null)
    .limit(1)
    .executeTakeFirst()
  return row !== undefined
}

/** @returns false where another process is sealing */
export async function lockSeals(trx: Trx): Promise<boolean> {
  const { rows } = await sql<{ mine: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended('latchkey event seals', 0)) as mine`.execute(trx)
  return rows[0]?.mine === true
}

export async function readLastSeal(db: Db): Promise<Seal | undefined> {
  return db.selectFrom('event_seals').selectAll().orderBy('id', 'desc').limit(1).executeTakeFirst()
}

/** Events without a seal, oldest first, which the clean-up does not delete meanwhile. RFC 3339. */
export async function lockUnsealed(trx: Trx, limit: number): Promise<{ now: string; rows: SealedRow[] }> {
  const rows = await trx
    .selectFrom('security_events')
    .select([...sealedColumns, sql<string>`now()::timestamptz(3)`.as('now')])
    .where('seal_id', 'is', null)
    .orderBy('id')
    .limit(limit)
    .forUpdate()
    .skipLocked()
    .execute()
  return { now: rows[0]?.now ?? '', rows: rows.map(({ now: _, ...row }) => row) }
}

export async function insertSeal(trx: Trx, seal: Seal, eventIds: readonly number[]): Promise<void> {
  await trx.insertInto('event_seals').values(seal).execute()
  await trx
    .updateTable('security_events')
    .set({ seal_id: seal.id })
    .where('id', '=', sql<number>`any(${eventIds}::bigint[])`)
    .execute()
}

/** Seals behind an id, in order. */
export async function readSeals(db: Db, after: number, limit: number): Promise<Seal[]> {
  return db.selectFrom('event_seals').selectAll().where('id', '>', after).orderBy('id').limit(limit).execute()
}

type MarkedRow = SealedRow & { readonly seal_id: number | null }

/** Events that claim to be of these seals. */
export async function readEventsOfSeals(db: Db, from: number, to: number): Promise<MarkedRow[]> {
  return db
    .selectFrom('security_events')
    .select([...sealedColumns, 'seal_id'])
    .where('seal_id', '>=', from)
    .where('seal_id', '<=', to)
    .execute()
}

export async function readEventsById(db: Db, ids: readonly number[]): Promise<MarkedRow[]> {
  return db
    .selectFrom('security_events')
    .select([...sealedColumns, 'seal_id'])
    .where('id', '=', sql<number>`any(${ids}::bigint[])`)
    .execute()
}

/** Ids of events that claim to be of a seal before the first or behind the last one, the first of them. */
export async function readStrayEvents(
  db: Db,
  first: number,
  last: number,
): Promise<{ id: number; seal_id: number }[]> {
  const rows = await db
    .selectFrom('security_events')
    .select(['id', 'seal_id'])
    .where((eb) => eb.or([eb('seal_id', '<', first), eb('seal_id', '>', last)]))
    .orderBy('id')
    .limit(100)
    .execute()
  return rows.map(({ id, seal_id }) => ({ id, seal_id: seal_id as number }))
}

/** Events without a seal behind an id, in order. */
export async function readUnsealed(
  db: Db,
  after: number,
  limit: number,
): Promise<{ id: number; user_id: string | null; event: string }[]> {
  return db
    .selectFrom('security_events')
    .select(['id', 'user_id', 'event'])
    .where('seal_id', 'is', null)
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
    .execute()
}

/** The database's time, by which rows expire, in milliseconds since the epoch. */
export async function readDatabaseTime(db: Db): Promise<number> {
  const { rows } = await sql<{ now: string }>`select now() as now`.execute(db)
  return Date.parse(rows[0]?.now ?? '')
}
