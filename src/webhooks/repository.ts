import type { Selectable } from 'kysely'
import { sql } from 'kysely'
import type { Db, Trx, WebhookDeliveriesTable } from '../db/schema.ts'
import { PositionExpired, readEvents, start } from '../events/repository.ts'
import { type Position, PositionLost } from '../feeds/position.ts'
import { claimDue, postponeDelivery } from '../outbox/queue.ts'

export type Delivery = Selectable<WebhookDeliveriesTable>

/** Longer than an attempt may take. */
const leaseSeconds = 30

/** After which a delivery is given up. */
export const giveUpAfterHours = 72

/** Bounds the table: events past it stay in the feed until there is room. */
export const maxWaiting = 10_000

/** Events that become deliveries in one transaction. */
const enqueuedAtOnce = 500

/** Notes that events from now on are to be delivered, unless a position is there. */
export async function beginWebhooks(db: Db): Promise<void> {
  await sql`
    insert into webhook_progress (id, position)
    values (1, json_build_object('since', pg_current_snapshot()::text)::text)
    on conflict (id) do nothing`.execute(db)
}

/**
 * Makes deliveries of the events since the last time, of whichever process. Another process that does it at the same
 * time is not waited for.
 * @param types undefined: all
 * @param onRestart called when the place was lost, and all events that are kept become deliveries
 */
export async function enqueueEvents(
  db: Db,
  types: ReadonlySet<string> | undefined,
  onRestart: (cause: unknown) => void,
): Promise<void> {
  while (await db.transaction().execute((trx) => enqueuePage(trx, types, onRestart)));
}

/** @returns whether there may be more */
async function enqueuePage(
  trx: Trx,
  types: ReadonlySet<string> | undefined,
  onRestart: (cause: unknown) => void,
): Promise<boolean> {
  const progress = await trx
    .selectFrom('webhook_progress')
    .select('position')
    .forUpdate()
    .skipLocked()
    .executeTakeFirst()
  if (!progress || (await isFull(trx))) return false
  const { events, position } = await readEvents(
    trx,
    JSON.parse(progress.position) as Position,
    enqueuedAtOnce,
  ).catch((error: unknown) => {
    if (!(error instanceof PositionExpired || error instanceof PositionLost)) throw error
    onRestart(error)
    return readEvents(trx, start, enqueuedAtOnce)
  })
  if (events.length === 0) return false
  const wanted = events.map(({ event }) => event).filter(({ type }) => types === undefined || types.has(type))
  if (wanted.length > 0) {
    const rows = wanted.map(({ id, ...rest }) => ({ event_id: id, ...rest }))
    await trx
      .insertInto('webhook_deliveries')
      .values(rows)
      .onConflict((conflict) => conflict.column('event_id').doNothing())
      .execute()
  }
  await trx
    .updateTable('webhook_progress')
    .set({ position: JSON.stringify(position) })
    .execute()
  return position.page !== undefined
}

async function isFull(trx: Trx): Promise<boolean> {
  const last = await trx
    .selectFrom('webhook_deliveries')
    .select('id')
    .where('state', '=', 'waiting')
    .offset(maxWaiting - 1)
    .limit(1)
    .executeTakeFirst()
  return last !== undefined
}

export function claimDeliveries(db: Db, limit: number): Promise<Delivery[]> {
  return claimDue(db, 'webhook_deliveries', { limit, leaseSeconds })
}

/** A delivered event leaves no row. */
export async function finishDelivery(db: Db, id: number): Promise<void> {
  await db.deleteFrom('webhook_deliveries').where('id', '=', id).execute()
}

/** @returns whether it was given up, {@link giveUpAfterHours} after the event became a delivery */
export function postpone(db: Db, id: number, seconds: number, error: string): Promise<boolean> {
  const delay = { seconds, error, giveUp: false, giveUpAfterHours }
  return postponeDelivery(db, 'webhook_deliveries', id, delay)
}
