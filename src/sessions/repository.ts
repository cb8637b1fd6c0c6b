import { type Selectable, sql } from 'kysely'
import { typeid } from 'typeid-js'
import type { Db, SessionsTable, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { Caller } from './caller.ts'
import type { Lifetimes } from './policy.ts'
import { newSalt } from './refresh-token.ts'

export type Session = Selectable<SessionsTable>

const inDays = (days: number) => sql<string>`now() + make_interval(days => ${days})`

/** Rotation extends the idle end, at most to the absolute one. */
const nextIdleEnd = (days: number) => sql<string>`least(expires_at, ${inDays(days)})`

/** The clean-up deletes expired sessions later. */
export const isLive = sql<boolean>`idle_expires_at > now()`

export async function insertSession(
  trx: Trx,
  userId: string,
  { idleDays, absoluteDays, caller, secondFactor }: Lifetimes & { caller: Caller; secondFactor: boolean },
): Promise<Session> {
  return trx
    .insertInto('sessions')
    .values({
      id: typeid('session').toString(),
      user_id: userId,
      salt: newSalt(),
      ip: caller.ip,
      user_agent: caller.userAgent,
      second_factor: secondFactor,
      idle_expires_at: inDays(Math.min(idleDays, absoluteDays)),
      expires_at: inDays(absoluteDays),
    })
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** A session that has not expired, and whether its last rotation was within the last `graceSeconds`. */
export async function findLiveSession(
  db: Db,
  id: string,
  graceSeconds: number,
): Promise<(Session & { justRotated: boolean }) | undefined> {
  const justRotated = sql<boolean>`last_used_at > now() - make_interval(secs => ${graceSeconds})`
  return db
    .selectFrom('sessions')
    .selectAll()
    .select(justRotated.as('justRotated'))
    .where('id', '=', id)
    .where(isLive)
    .executeTakeFirst()
}

/**
 * Compare-and-set of a session's generation: of concurrent requests, on any number of instances, one succeeds.
 */
export async function rotateSession(
  db: Db,
  id: string,
  generation: number,
  { idleDays }: Lifetimes,
): Promise<Session | undefined> {
  return db
    .updateTable('sessions')
    .set({
      generation: generation + 1,
      last_used_at: sql<string>`now()`,
      idle_expires_at: nextIdleEnd(idleDays),
    })
    .where('id', '=', id)
    .where('generation', '=', generation)
    .where(isLive)
    .returningAll()
    .executeTakeFirst()
}

/**
 * Notes that the session's user has just authenticated again. The refresh token rotates with it: a stolen one must not
 * gain what the user has proved (session fixation).
 * @returns undefined when the session has ended, or is not the owner's
 */
export async function reauthenticateOwnedSession(
  trx: Trx,
  owner: OwnerId,
  id: string,
  { idleDays, secondFactor }: Lifetimes & { secondFactor: boolean },
): Promise<Session | undefined> {
  return trx
    .updateTable('sessions')
    .set((eb) => ({
      generation: eb('generation', '+', 1),
      last_used_at: sql<string>`now()`,
      idle_expires_at: nextIdleEnd(idleDays),
      authenticated_at: sql<string>`now()`,
      second_factor: secondFactor,
    }))
    .where('id', '=', id)
    .where('user_id', '=', owner)
    .where(isLive)
    .returningAll()
    .executeTakeFirst()
}

/** What a removed factor has proved, it proves no longer: later tokens of the owner's sessions are `aal1`. */
export async function forgetOwnedSecondFactor(trx: Trx, owner: OwnerId): Promise<void> {
  await trx.updateTable('sessions').set({ second_factor: false }).where('user_id', '=', owner).execute()
}

/** The owner's sessions that have not expired, newest first. */
export async function listOwnedSessions(db: Db, owner: OwnerId): Promise<Session[]> {
  return db
    .selectFrom('sessions')
    .selectAll()
    .where('user_id', '=', owner)
    .where(isLive)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

/**
 * Whether the owner's session has not ended. It cannot end before the transaction does; a rotation does not wait.
 */
export async function lockOwnedLiveSession(trx: Trx, owner: OwnerId, id: string): Promise<boolean> {
  const row = await trx
    .selectFrom('sessions')
    .select('id')
    .where('id', '=', id)
    .where('user_id', '=', owner)
    .where(isLive)
    .forKeyShare()
    .executeTakeFirst()
  return row !== undefined
}
