import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import { isLive } from './repository.ts'

/** Days for which an address stays known after the session that was opened or ended from it. */
const knownDays = 30

/**
 * The addresses that somebody with the account's password, or with a token of it, has come from: those of live
 * sessions, and those that sessions were ended from. For login, before there is an owner.
 */
export async function knownAddresses(db: Db, userId: string): Promise<string[]> {
  const ended = db
    .selectFrom('security_events')
    .select(sql<string>`ip`.as('ip'))
    .where('user_id', '=', userId)
    .where('event', '=', 'session_ended')
    .where('ip', 'is not', null)
    .where('at', '>', sql<string>`now() - make_interval(days => ${knownDays})`)
  const rows = await db
    .selectFrom('sessions')
    .select('ip')
    .where('user_id', '=', userId)
    .where(isLive)
    .union(ended)
    .execute()
  return rows.map(({ ip }) => ip)
}
