import { type Selectable, sql } from 'kysely'
import type { Trx, UsersTable } from '../db/schema.ts'

/** A column for a statement on `users`. */
export const isBanned = sql<boolean>`(
  users.banned_at is not null and (users.banned_until is null or users.banned_until > now()))`.as('banned')

export interface NewBan {
  /** RFC 3339; undefined: until it is lifted. */
  readonly until: string | undefined
  readonly reason: string
}

/** A user under its lock, for whom a session may be opened. */
export interface Lockable extends Pick<Selectable<UsersTable>, 'password_hash'> {
  readonly banned: boolean
}

/**
 * Takes the user's row lock, and reads what decides about a new session as of the time when the lock is held.
 * @returns undefined when there is no such user
 */
export async function lockForSession(trx: Trx, userId: string): Promise<Lockable | undefined> {
  return trx
    .selectFrom('users')
    .select(['password_hash', isBanned])
    .where('id', '=', userId)
    .forUpdate()
    .executeTakeFirst()
}

/** Bans a user; another ban of the user is replaced. Only under the user's lock. */
export async function setBan(trx: Trx, userId: string, { until, reason }: NewBan): Promise<void> {
  await trx
    .updateTable('users')
    .set({ banned_at: sql<string>`now()`, banned_until: until ?? null, ban_reason: reason })
    .where('id', '=', userId)
    .execute()
}

/** Only under the user's lock. */
export async function clearBan(trx: Trx, userId: string): Promise<void> {
  await trx
    .updateTable('users')
    .set({ banned_at: null, banned_until: null, ban_reason: null })
    .where('id', '=', userId)
    .execute()
}
