import { type RawBuilder, sql } from 'kysely'
import type { Database, Db } from '../db/schema.ts'
import { keptHours } from '../idempotency/repository.ts'
import { describeError } from '../log.ts'
import { patienceHours } from '../mail/queue.ts'
import { knownDays } from '../sessions/known-devices.ts'

/** Days that a security event is kept. */
const eventDays = 90

/** Days that the time and the address of a reset are kept: longer than any window of a limit. */
const resetDays = 100
/** Events of each kind that are kept of a user who causes many: the newest. */
const eventsOfKind = 200

/** Events of a user in half an hour that are many. */
const manyEvents = 10

/** Days that a mail is kept that was not sent, for its operator to look at. */
const mailDays = 7

/** Rows that one statement removes: few enough for its time limit, however many there are. */
const batch = 5_000

/** Of each kind, so that a flood of one kind hides no other. */
const excessEvents = sql`
  select excess.id
  from (
    select user_id from security_events
    where at > now() - interval '30 minutes' and user_id is not null
    group by user_id having count(*) > ${manyEvents}
  ) as busy
  cross join lateral (
    select id, row_number() over (partition by event order by id desc) as place
    from security_events where user_id = busy.user_id
  ) as excess
  where place > ${eventsOfKind} limit ${batch}`

/**
 * What can matter to nobody any more: ended sessions and what recognises their devices, old resets, revocations of
 * expired tokens, old events and those past a user's share, mail that has
 * left and no longer counts, tokens that no mail will carry any more, idempotency keys that may be used anew.
 */
const over: Partial<Record<keyof Database, RawBuilder<unknown>>> = {
  sessions: sql`idle_expires_at < now()`,
  revocations: sql`ends_at < now()`,
  security_events: sql`at < now() - make_interval(days => ${eventDays}) or id = any(array(${excessEvents}))`,
  mail_outbox: sql`(state in ('sent', 'dropped') and created_at < now() - interval '1 hour')
    or created_at < now() - make_interval(days => ${mailDays})`,
  one_time_tokens: sql`expires_at < now() - make_interval(hours => ${patienceHours})`,
  idempotency_keys: sql`created_at <= now() - make_interval(hours => ${keptHours})`,
  ended_sessions: sql`ended_at < now() - make_interval(days => ${knownDays})`,
  password_resets: sql`at < now() - make_interval(days => ${resetDays})`,
}

/**
 * Removes what is {@link over}, from each table whatever becomes of the others.
 * @throws AggregateError that names the tables of which it could not
 */
export async function cleanUp(db: Db): Promise<void> {
  const failures: { table: string; error: unknown }[] = []
  for (const [table, condition] of Object.entries(over)) {
    await remove(db, table, condition).catch((error: unknown) => failures.push({ table, error }))
  }
  if (failures.length === 0) return
  const texts = failures.map(({ table, error }) => `${table}: ${describeError(error).message}`)
  throw new AggregateError(
    failures.map(({ error }) => error),
    texts.join('; '),
  )
}

/** A row that somebody holds is passed by: it is removed the next time, or used again. */
async function remove(db: Db, table: string, condition: RawBuilder<unknown>): Promise<void> {
  const rows = sql`select ctid from ${sql.table(table)} where ${condition} limit ${batch} for update skip locked`
  for (let removed = batch; removed === batch; ) {
    const answer = await sql`delete from ${sql.table(table)} where ctid = any(array(${rows}))`.execute(db)
    removed = Number(answer.numAffectedRows)
  }
}
