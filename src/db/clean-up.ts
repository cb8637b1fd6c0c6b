import { sql } from 'kysely'
import type { Db } from './schema.ts'

/** Days that a security event is kept. */
const eventDays = 90

/** Removes what can matter to nobody any more: sessions that are over, revocations of expired tokens, old events. */
export async function cleanUp(db: Db): Promise<void> {
  const now = sql<string>`now()`
  await db.deleteFrom('sessions').where('idle_expires_at', '<', now).execute()
  await db.deleteFrom('revocations').where('ends_at', '<', now).execute()
  await db
    .deleteFrom('security_events')
    .where('at', '<', sql<string>`now() - make_interval(days => ${eventDays})`)
    .execute()
}
