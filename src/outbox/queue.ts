import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'

/** Tables of what is to be delivered, with the same columns for that. */
export type Outbox = 'mail_outbox' | 'webhook_deliveries'

/** The statements are those of one of them. */
type Typed = 'mail_outbox'

const inSeconds = (seconds: number) => sql<string>`now() + make_interval(secs => ${seconds})`

/**
 * Claims what is due, oldest first.
 * @param leaseSeconds for which nobody else claims it: longer than a delivery may take, and after a crash the delay until
 * another worker claims it
 */
export async function claimDue<Row extends { readonly id: number }>(
  db: Db,
  outbox: Outbox,
  { limit, leaseSeconds }: { readonly limit: number; readonly leaseSeconds: number },
): Promise<Row[]> {
  const table = outbox as Typed
  const rows = await db
    .with(
      (name) => name('due').materialized(),
      (qb) =>
        qb
          .selectFrom(table)
          .select('id')
          .where('state', '=', 'waiting')
          .where('next_attempt_at', '<=', sql<string>`now()`)
          .orderBy('next_attempt_at')
          .orderBy('id')
          .limit(limit)
          .forUpdate()
          .skipLocked(),
    )
    .updateTable(table)
    .from('due')
    .set((eb) => ({ attempts: eb('attempts', '+', 1), next_attempt_at: inSeconds(leaseSeconds) }))
    .whereRef(`${table}.id`, '=', 'due.id')
    .returningAll(table)
    .execute()
  return (rows as unknown as Row[]).sort((one, other) => one.id - other.id)
}

/** How many deliveries are in each state, of those that are given. */
export async function countByState<State extends string>(
  db: Db,
  outbox: Outbox,
  states: readonly State[],
): Promise<Record<State, number>> {
  const rows = await db
    .selectFrom(outbox as Typed)
    .select(['state', (eb) => eb.fn.countAll<number>().as('count')])
    .groupBy('state')
    .execute()
  const counts = new Map<string, number>(rows.map(({ state, count }) => [state, Number(count)]))
  return Object.fromEntries(states.map((state) => [state, counts.get(state) ?? 0])) as Record<State, number>
}

interface Postponement {
  readonly seconds: number
  readonly error: string
  /** Whether it is given up in any case. */
  readonly giveUp: boolean
  readonly giveUpAfterHours: number
}

/**
 * Schedules a retry, or gives the delivery up.
 * @returns whether it was given up
 */
export async function postponeDelivery(
  db: Db,
  outbox: Outbox,
  id: number,
  { seconds, error, giveUp, giveUpAfterHours }: Postponement,
): Promise<boolean> {
  const table = outbox as Typed
  const tooOld = sql<boolean>`created_at < now() - make_interval(hours => ${giveUpAfterHours})`
  const { numUpdatedRows } = await db
    .updateTable(table)
    .set({ last_error: error, state: 'failed' })
    .where('id', '=', id)
    .where(giveUp ? sql.lit(true) : tooOld)
    .executeTakeFirst()
  if (numUpdatedRows > 0n) return true
  await db
    .updateTable(table)
    .set({ last_error: error, next_attempt_at: inSeconds(seconds) })
    .where('id', '=', id)
    .execute()
  return false
}
