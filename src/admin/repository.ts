/** What an operator reads: of all users, by the id that is unique among those of all issuers. */
import { type Selectable, sql } from 'kysely'
import type { Db, SecurityEventsTable, UsersTable } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { confirmedFactor } from '../second-factor/repository.ts'
import { isBanned } from '../users/bans.ts'
import type { CanonicalEmail } from '../users/email.ts'

/** A user as an operator sees it. */
export interface AdminUser
  extends Pick<Selectable<UsersTable>, 'id' | 'email' | 'name' | 'email_verified' | 'created_at' | 'issuer'> {
  readonly second_factor: boolean
  /** Null for a user who is not banned now. */
  readonly ban: { readonly at: string; readonly until: string | null; readonly reason: string } | null
}

/** A page, and the id of the last row before it. */
interface Paged<Id> {
  readonly after: Id | undefined
  readonly limit: number
}

interface Page<Row> {
  readonly rows: readonly Row[]
  /** Whether there are further rows. */
  readonly more: boolean
}

const columns = [
  'id',
  'email',
  'name',
  'email_verified',
  'created_at',
  'issuer',
  'banned_at',
  'banned_until',
  'ban_reason',
  isBanned,
  confirmedFactor,
] as const

const select = (db: Db) => db.selectFrom('users').select(columns)

type Row = Awaited<ReturnType<ReturnType<typeof select>['executeTakeFirstOrThrow']>>

function userOf({ banned, banned_at: at, banned_until, ban_reason, second_factor, ...user }: Row): AdminUser {
  const ban = banned && at !== null ? { at, until: banned_until, reason: ban_reason ?? '' } : null
  return { ...user, second_factor: second_factor !== null, ban }
}

/** Users in order of id; with `email`, those with that address, of whichever issuer. */
export async function listUsers(
  db: Db,
  { email, after, limit }: Paged<string> & { readonly email: CanonicalEmail | undefined },
): Promise<Page<AdminUser>> {
  let query = select(db)
  if (after !== undefined) query = query.where('id', '>', after)
  // An index each: of this service's accounts, and of foreign users.
  if (email !== undefined)
    query = query
      .where('email', '=', email)
      .where((eb) => eb.or([eb('issuer', 'is', null), eb('issuer', 'is not', null)]))
  const rows = await query
    .orderBy('id')
    .limit(limit + 1)
    .execute()
  return pageOf(rows.map(userOf), limit)
}

/** @throws Problem user_not_found */
export async function getUser(db: Db, id: string): Promise<AdminUser> {
  const row = await select(db).where('id', '=', id).executeTakeFirst()
  if (!row) throw new Problem('user_not_found')
  return userOf(row)
}

export type StoredEvent = Pick<Selectable<SecurityEventsTable>, (typeof eventColumns)[number]>

const eventColumns = ['id', 'event', 'at', 'user_id', 'session_id', 'key_id', 'ip', 'client_id'] as const

interface EventFilter extends Paged<number> {
  readonly userId: string | undefined
  readonly event: string | undefined
}

/** Security events, newest first. */
export async function listEvents(
  db: Db,
  { userId, event, after, limit }: EventFilter,
): Promise<Page<StoredEvent>> {
  let query = db.selectFrom('security_events').select(eventColumns)
  if (userId !== undefined) query = query.where('user_id', '=', userId)
  if (event !== undefined) query = query.where('event', '=', event)
  if (after !== undefined) query = query.where('id', '<', sql<number>`${after}::bigint`)
  const rows = await query
    .orderBy('id', 'desc')
    .limit(limit + 1)
    .execute()
  return pageOf(rows, limit)
}

function pageOf<T>(rows: readonly T[], limit: number): Page<T> {
  return { rows: rows.slice(0, limit), more: rows.length > limit }
}
