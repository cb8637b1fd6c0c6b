import { sql } from 'kysely'
import { keptHours } from '../idempotency/repository.ts'
import { patienceHours } from '../mail/queue.ts'
import type { Db } from './schema.ts'

/** Days that a security event is kept. */
const eventDays = 90

/** Days that a mail is kept that was not sent, for its operator to look at. */
const mailDays = 7

/**
 * Removes what can matter to nobody any more: sessions that are over, revocations of expired tokens, old events, mail
 * that has left and no longer counts, tokens that no mail will carry any more, idempotency keys that may be used anew.
 */
export async function cleanUp(db: Db): Promise<void> {
  const now = sql<string>`now()`
  await db.deleteFrom('sessions').where('idle_expires_at', '<', now).execute()
  await db.deleteFrom('revocations').where('ends_at', '<', now).execute()
  await db
    .deleteFrom('security_events')
    .where('at', '<', sql<string>`now() - make_interval(days => ${eventDays})`)
    .execute()
  await db
    .deleteFrom('mail_outbox')
    .where((eb) =>
      eb.or([
        eb('state', 'in', ['sent', 'dropped']).and('created_at', '<', sql<string>`now() - interval '1 hour'`),
        eb('created_at', '<', sql<string>`now() - make_interval(days => ${mailDays})`),
      ]),
    )
    .execute()
  await db
    .deleteFrom('one_time_tokens')
    .where('expires_at', '<', sql<string>`now() - make_interval(hours => ${patienceHours})`)
    .execute()
  await db
    .deleteFrom('idempotency_keys')
    .where('created_at', '<=', sql<string>`now() - make_interval(hours => ${keptHours})`)
    .execute()
}
