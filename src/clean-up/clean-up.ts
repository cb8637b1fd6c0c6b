import { type RawBuilder, sql } from 'kysely'
import { isNotSupported } from '../db/errors.ts'
import type { Database, Db } from '../db/schema.ts'
import { deleteOldEvents } from '../events/repository.ts'
import { keptHours } from '../idempotency/repository.ts'
import { describeError } from '../log.ts'
import { giveUpAfterHours } from '../mail/queue.ts'
import { knownDays } from '../sessions/known-devices.ts'

/** Days that security events are kept. */
export const eventDays = 90

/** Days that resets are kept: longer than any window of a limit. */
const resetDays = 100

/** Newest events of each kind that are kept of a user with many. */
export const eventsOfKind = 200

/** Events in half an hour from which a user's excess is deleted. */
const manyEvents = 10

/** Days that events which were given up are kept for the operator. */
const failedDays = 10

/** Days that undelivered mail is kept for the operator. */
const mailDays = 7

/** Rows deleted by one statement, to stay within the statement timeout. */
const batch = 5_000

/** Per kind, so that a flood of one kind does not push out another. */
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

/** Primary keys other than `id`. */
const keys: Partial<Record<keyof Database, string[]>> = {
  one_time_tokens: ['token_hash'],
  used_mfa_tokens: ['token_hash'],
  totp_factors: ['user_id'],
  idempotency_keys: ['user_id', 'operation', 'key_mac'],
  password_resets: ['user_id'],
}

/** Conditions of rows that no query needs any more. Sent mail counts against quotas for an hour. */
const expired: Partial<Record<keyof Database, RawBuilder<unknown>>> = {
  sessions: sql`idle_expires_at < now()`,
  revocations: sql`ends_at < now()`,
  security_events: sql`at < now() - make_interval(days => ${eventDays}) or id = any(array(${excessEvents}))`,
  // The oldest ones, without a gap, of which no event is left; some are always left.
  event_seals: sql`id < (select min(id) from event_seals where at >= now() - make_interval(days => ${eventDays + 1}))
    and id < coalesce((select min(seal_id) from security_events), 9223372036854775807)`,
  mail_outbox: sql`(state in ('sent', 'dropped') and created_at < now() - interval '1 hour')
    or created_at < now() - make_interval(days => ${mailDays})`,
  webhook_deliveries: sql`state = 'failed' and created_at < now() - make_interval(days => ${failedDays})`,
  one_time_tokens: sql`expires_at < now() - make_interval(hours => ${giveUpAfterHours})`,
  used_mfa_tokens: sql`expires_at < now() - interval '1 hour'`,
  totp_factors: sql`confirmed_at is null and created_at < now() - interval '1 day'`,
  idempotency_keys: sql`created_at <= now() - make_interval(hours => ${keptHours})`,
  ended_sessions: sql`ended_at < now() - make_interval(days => ${knownDays})`,
  // Past the minute for which its end would still be announced.
  api_keys: sql`expires_at < now() - interval '1 hour'`,
  password_resets: sql`at < now() - make_interval(days => ${resetDays})`,
}

/**
 * Deletes {@link expired} rows of each table, also when another table fails.
 * @throws AggregateError with the names of the tables that failed
 */
export async function cleanUp(db: Db): Promise<void> {
  const failures: { table: string; error: unknown }[] = []
  for (const [table, condition] of Object.entries(expired)) {
    await remove(db, table, condition).catch((error: unknown) => failures.push({ table, error }))
  }
  await deleteOldEvents(db).catch((error: unknown) => failures.push({ table: 'events', error }))
  if (failures.length === 0) return
  const texts = failures.map(({ table, error }) => `${table}: ${describeError(error).message}`)
  throw new AggregateError(
    failures.map(({ error }) => error),
    texts.join('; '),
  )
}

const skipLocked = sql`for update skip locked`

/**
 * Skips locked rows: they are deleted by the next run, or in use again. A table that is distributed over several
 * servers cannot skip them (SQLSTATE feature_not_supported), and is deleted from without.
 */
async function remove(db: Db, table: string, condition: RawBuilder<unknown>): Promise<void> {
  for (let removed = batch; removed === batch; ) {
    const answer = await deletion(table, condition, skipLocked)
      .execute(db)
      .catch((error: unknown) => {
        if (!isNotSupported(error)) throw error
        return deletion(table, condition, sql``).execute(db)
      })
    removed = Number(answer.numAffectedRows)
  }
}

/** By key and not by `ctid`, which names a row on one server only. */
function deletion(table: string, condition: RawBuilder<unknown>, lock: RawBuilder<unknown>) {
  const key = sql.join((keys[table as keyof Database] ?? ['id']).map((column) => sql.ref(column)))
  return sql`with due as materialized (select ${key} from ${sql.table(table)} where ${condition} limit ${batch} ${lock})
    delete from ${sql.table(table)} where (${key}) in (select ${key} from due)`
}
