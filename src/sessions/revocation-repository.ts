import { type Expression, type ExpressionBuilder, type RawBuilder, type SqlBool, sql } from 'kysely'
import type { Database, Db, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { SessionPolicy } from './policy.ts'
import { isLive } from './repository.ts'
import { revocationColumns, toRevocation } from './revocation-row.ts'
import type { Revocation } from './revocations.ts'

/** Added to a token's lifetime: the clock skew that verification tolerates, and as much for the database's clock. */
const marginSeconds = 60

/** A token's lifetime, and the time of the process that verifies it: the database's clock may be behind. */
export interface TokenLife {
  readonly seconds: number
  /** Seconds since the epoch. */
  readonly now: number
}

export function accessTokenLife({ accessTokenSeconds, clock }: SessionPolicy): TokenLife {
  return { seconds: accessTokenSeconds, now: clock() }
}

/** When every token with that lifetime issued until now will have expired. */
function tokensEnd({ seconds, now }: TokenLife): RawBuilder<string> {
  return sql<string>`greatest(now(), to_timestamp(${now})) + make_interval(secs => ${seconds + marginSeconds})`
}

/** Which of an owner's sessions. An id that is not the owner's selects nothing. */
export type WhichSessions = 'all' | { readonly only: string } | { readonly except: string }

export async function endOwnedSessions(
  trx: Trx,
  life: TokenLife,
  owner: OwnerId,
  which: WhichSessions,
): Promise<Revocation[]> {
  return endWhere(trx, life, (eb) =>
    eb.and([
      eb('user_id', '=', owner),
      ...(which !== 'all' && 'only' in which ? [eb('id', '=', which.only)] : []),
      ...(which !== 'all' && 'except' in which ? [eb('id', '!=', which.except)] : []),
    ]),
  )
}

/** Ends a user's sessions that have not expired, except the newest `keep`. */
export async function endSurplusSessions(
  trx: Trx,
  life: TokenLife,
  userId: string,
  keep: number,
): Promise<Revocation[]> {
  return endWhere(trx, life, (eb) =>
    eb.and([
      eb('user_id', '=', userId),
      eb(
        'id',
        'in',
        eb
          .selectFrom('sessions')
          .select('id')
          .where('user_id', '=', userId)
          .where(isLive)
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .offset(keep),
      ),
    ]),
  )
}

/** Ends the session that a refresh token named and verified for. */
export async function endSession(trx: Trx, life: TokenLife, id: string): Promise<Revocation[]> {
  return endWhere(trx, life, (eb) => eb('id', '=', id))
}

/** Ends sessions and revokes their access tokens, in one statement: neither happens without the other. */
async function endWhere(
  trx: Trx,
  life: TokenLife,
  which: (eb: ExpressionBuilder<Database, 'sessions'>) => Expression<SqlBool>,
): Promise<Revocation[]> {
  const rows = await trx
    .with('ended', (qb) => qb.deleteFrom('sessions').where(which).returning('id'))
    .insertInto('revocations')
    .columns(['session_id', 'ends_at'])
    .expression((eb) => eb.selectFrom('ended').select(['id', tokensEnd(life).as('ends_at')]))
    .returning(revocationColumns)
    .execute()
  return rows.map(toRevocation)
}

/** A ban without an end, as a revocation has it: readers keep times as numbers of seconds. */
const withoutEnd = Date.UTC(3000, 0)

/** Days for which a reader may have missed that a ban was lifted. */
const liftedDays = 7

/**
 * Refuses every token of a user from now on. The id of the row orders the bans of a user, so this is called under the
 * user's lock.
 * @param until RFC 3339; undefined: until it is lifted
 */
export async function insertBan(trx: Trx, userId: string, until: string | undefined): Promise<Revocation[]> {
  await trx.deleteFrom('revocations').where('user_id', '=', userId).where('ban', '=', true).execute()
  const end = until === undefined ? withoutEnd : Math.min(Date.parse(until), withoutEnd)
  const at = (ms: number) => sql<string>`to_timestamp(${ms / 1000})`
  return insertBanRow(trx, userId, at(end), at(end + marginSeconds * 1000))
}

/** @returns nothing where the user is not banned */
export async function liftBan(trx: Trx, userId: string): Promise<Revocation[]> {
  const lifted = await trx
    .deleteFrom('revocations')
    .where('user_id', '=', userId)
    .where('ban', '=', true)
    .where('issued_until', '>', sql<string>`now()`)
    .returning('id')
    .execute()
  if (lifted.length === 0) return []
  const end = sql<string>`now() + make_interval(days => ${liftedDays})`
  return insertBanRow(trx, userId, sql<string>`to_timestamp(0)`, end)
}

async function insertBanRow(
  trx: Trx,
  userId: string,
  until: RawBuilder<string>,
  endsAt: RawBuilder<string>,
): Promise<Revocation[]> {
  const rows = await trx
    .insertInto('revocations')
    .values({ user_id: userId, issued_until: until, ends_at: endsAt, ban: true })
    .returning(revocationColumns)
    .execute()
  return rows.map(toRevocation)
}

/** Of a deleted account, whose id no user can have again. */
export async function forgetBan(trx: Trx, userId: string): Promise<void> {
  await trx.deleteFrom('revocations').where('user_id', '=', userId).where('ban', '=', true).execute()
}

/**
 * Revokes every token of a user that has no session and was issued until `issuedUntil`. A trigger merges a user's rows
 * into one with the latest times. A repetition within the second writes nothing: dead tuples of one row would slow down
 * each later statement.
 */
export async function revokeOwnedTokens(
  db: Db,
  owner: OwnerId,
  life: TokenLife,
  issuedUntil: number,
): Promise<Revocation[]> {
  const until = sql<string>`to_timestamp(${issuedUntil})`
  const remembered = life.seconds + marginSeconds
  await db
    .insertInto('revocations')
    .columns(['user_id', 'issued_until', 'ends_at'])
    .expression(
      db
        .selectNoFrom([
          sql<string>`${owner}::text`.as('user_id'),
          until.as('issued_until'),
          tokensEnd({ ...life, now: Math.max(life.now, issuedUntil) }).as('ends_at'),
        ])
        .where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('revocations')
                .select('id')
                .where('user_id', '=', owner)
                .where('issued_until', '>=', until)
                .where('ends_at', '>=', sql<string>`${until} + make_interval(secs => ${remembered})`),
            ),
          ),
        ),
    )
    .execute()
  // Even when nothing was written: this instance may not have read another's row yet.
  return [{ user: owner, at: issuedUntil, endsAt: Math.ceil(issuedUntil + remembered) }]
}
