import { sql } from 'kysely'
import type { Db } from '../db/schema.ts'
import type { CanonicalEmail } from '../users/email.ts'
import { parseRefreshToken, type RefreshKeys, verifiesRefreshToken } from './refresh-token.ts'

/** Days for which a device stays known after its session has ended. */
export const knownDays = 30

/**
 * The session of an account whose refresh token a device presents: current, already rotated, or of an ended session.
 * The token proves only an earlier login: it opens nothing and is not used up. The statement does not depend on the
 * account: timing must not reveal it.
 * @returns undefined for an invalid token, and for another account's session
 */
export async function knownDevice(
  db: Db,
  keys: RefreshKeys,
  { email, token }: { readonly email: CanonicalEmail; readonly token: string },
): Promise<string | undefined> {
  const presented = parseRefreshToken(token)
  const session = presented && (await findSession(db, presented.sessionId))
  if (!session || !verifiesRefreshToken(keys, presented, session.salt)) return undefined
  return session.email === email ? presented.sessionId : undefined
}

async function findSession(
  db: Db,
  id: string,
): Promise<{ salt: Uint8Array; email: string | null } | undefined> {
  const ended = db
    .selectFrom('ended_sessions')
    .select(['user_id', 'salt'])
    .where('id', '=', id)
    .where('ended_at', '>', sql<string>`now() - make_interval(days => ${knownDays})`)
  const either = db.selectFrom('sessions').select(['user_id', 'salt']).where('id', '=', id).unionAll(ended)
  return db
    .selectFrom(either.as('device'))
    .innerJoin('users', 'users.id', 'device.user_id')
    .select(['device.salt', 'users.email'])
    .where('users.issuer', 'is', null)
    .executeTakeFirst()
}
