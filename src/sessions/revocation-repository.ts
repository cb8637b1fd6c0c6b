import { type ExpressionBuilder, type RawBuilder, type Selectable, sql } from 'kysely'
import type { Database, Db, RevocationsTable } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { Revocation } from './revocations.ts'

/** What PostgreSQL's NOTIFY carries revocations on. */
export const revocationChannel = 'latchkey_revocations'

/** Added to a token's lifetime: the skew that verification tolerates, and as much for the database's clock. */
const marginSeconds = 60

type RevocationRow = Pick<Selectable<RevocationsTable>, 'session_id' | 'user_id' | 'created_at' | 'ends_at'>

const columns = ['session_id', 'user_id', 'created_at', 'ends_at'] as const

/** When the last token that lives for `seconds` and was issued until now will have expired. */
function tokensEnd(seconds: number): RawBuilder<string> {
  return sql<string>`now() + make_interval(secs => ${seconds + marginSeconds})`
}

/** The message is the row, so that who hears it needs no query. */
const announce = sql`pg_notify(${revocationChannel}, json_build_object(
  'session_id', session_id, 'user_id', user_id, 'created_at', created_at, 'ends_at', ends_at)::text)`

/**
 * Ends sessions and revokes their access tokens, in one statement: neither happens without the other, and the
 * other instances hear of it when it commits.
 */
export async function endSessionsWhere(
  db: Db,
  accessTokenSeconds: number,
  which: (eb: ExpressionBuilder<Database, 'sessions'>) => ReturnType<typeof eb.and>,
): Promise<Revocation[]> {
  const rows = await db
    .with('ended', (qb) => qb.deleteFrom('sessions').where(which).returning('id'))
    .with('revoked', (qb) =>
      qb
        .insertInto('revocations')
        .columns(['session_id', 'ends_at'])
        .expression(qb.selectFrom('ended').select(['id', tokensEnd(accessTokenSeconds).as('ends_at')]))
        .returning(columns),
    )
    .selectFrom('revoked')
    .select(columns)
    .select(announce.as('announced'))
    .execute()
  return rows.map(toRevocation)
}

/**
 * Revokes every token of a user that was issued until now and names no session: a trusted issuer's.
 * @param lifetime seconds to which such a token may live
 */
export async function revokeOwnedTokens(db: Db, owner: OwnerId, lifetime: number): Promise<Revocation[]> {
  const rows = await db
    .with('revoked', (qb) =>
      qb
        .insertInto('revocations')
        .values({ user_id: owner, ends_at: tokensEnd(lifetime) })
        .returning(columns),
    )
    .selectFrom('revoked')
    .select(columns)
    .select(announce.as('announced'))
    .execute()
  return rows.map(toRevocation)
}

/** Those that can still refuse a token; with `sinceSeconds`, only those made in that time. */
export async function liveRevocations(db: Db, sinceSeconds?: number): Promise<Revocation[]> {
  const rows = await db
    .selectFrom('revocations')
    .select(columns)
    .where('ends_at', '>', sql<string>`now()`)
    .$if(sinceSeconds !== undefined, (query) =>
      query.where('created_at', '>', sql<string>`now() - make_interval(secs => ${sinceSeconds})`),
    )
    .execute()
  return rows.map(toRevocation)
}

/**
 * Reads what {@link announce} sent.
 * @returns undefined for anything else: every role of the database can send on the channel
 */
export function parseAnnouncement(payload: string): Revocation | undefined {
  try {
    const row: unknown = JSON.parse(payload)
    return isRow(row) ? toRevocation(row) : undefined
  } catch {
    return undefined
  }
}

function isRow(value: unknown): value is RevocationRow {
  const { session_id, user_id, created_at, ends_at } = (value ?? {}) as Record<string, unknown>
  const hasOneSubject = (session_id === null) !== (user_id === null)
  return hasOneSubject && typeof (session_id ?? user_id) === 'string' && isTime(created_at) && isTime(ends_at)
}

const isTime = (value: unknown) => typeof value === 'string' && !Number.isNaN(Date.parse(value))

function toRevocation({ session_id, user_id, created_at, ends_at }: RevocationRow): Revocation {
  const endsAt = Math.ceil(Date.parse(ends_at) / 1000)
  if (session_id !== null) return { session: session_id, endsAt }
  return { user: user_id as string, at: Math.floor(Date.parse(created_at) / 1000), endsAt }
}
