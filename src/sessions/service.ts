import { findUser, type User } from '../accounts/users.ts'
import { recordEvent, type SecurityLog } from '../audit.ts'
import type { Db, Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { parseRefreshToken, type RefreshKeys, verifiesRefreshToken } from './refresh-token.ts'
import {
  type Client,
  findLiveSession,
  insertSession,
  type Lifetimes,
  lockUser,
  rotateSession,
  type Session,
} from './repository.ts'
import { endSessionsWhere } from './revocation-repository.ts'
import type { Revocation, Revocations } from './revocations.ts'

/** How long sessions and what they give live, and the keys of their refresh tokens. */
export interface SessionPolicy extends Lifetimes {
  readonly accessTokenSeconds: number
  readonly refreshKeys: RefreshKeys
}

/** What sessions need of their surroundings; a Fastify instance with the plugins on it is one. */
export interface SessionDeps {
  readonly db: Db
  readonly revocations: Revocations
  readonly sessionPolicy: SessionPolicy
  readonly log: SecurityLog
}

export interface SignedIn {
  readonly user: User
  readonly session: Session
}

/** Sessions that a user can have at a time. */
export const maxSessions = 20

/** Time in which the refresh token before the current one may come again: a lost answer, two tabs. */
const graceSeconds = 10

/**
 * Opens a session; past {@link maxSessions} the oldest end. The caller applies the revocations once the
 * transaction has committed.
 * @param passwordHash what the password was verified against
 * @returns undefined when the account is gone, or has another password by now
 */
export async function openSession(
  trx: Trx,
  policy: SessionPolicy,
  { userId, passwordHash, client }: { userId: string; passwordHash: string; client: Client },
): Promise<{ session: Session; revoked: Revocation[] } | undefined> {
  // Counting and inserting under the lock: of 50 logins at once, the cap still holds. And a login that was
  // verified while the password changed must not outlive the change.
  if ((await lockUser(trx, userId)) !== passwordHash) return undefined
  const revoked = await endSessionsWhere(trx, policy.accessTokenSeconds, (eb) =>
    eb.and([
      eb('user_id', '=', userId),
      eb(
        'id',
        'in',
        eb
          .selectFrom('sessions')
          .select('id')
          .where('user_id', '=', userId)
          .orderBy('created_at', 'desc')
          .orderBy('id', 'desc')
          .offset(maxSessions - 1),
      ),
    ]),
  )
  return { session: await insertSession(trx, userId, client, policy), revoked }
}

/**
 * Exchanges a refresh token for the next one (RFC 6749 section 6; rotation and its reuse as RFC 9700 section
 * 4.14.2). The token before the current one, within the grace, gets the same successor again. Any older one, or
 * that one later, means that two parties hold the session's tokens: it ends.
 * @throws Problem invalid_grant
 */
export async function refreshSession(deps: SessionDeps, token: string, { ip }: Client): Promise<SignedIn> {
  const { db, sessionPolicy: policy } = deps
  const presented = parseRefreshToken(token)
  const known = presented && (await findLiveSession(db, presented.sessionId, graceSeconds))
  if (!known || !verifiesRefreshToken(policy.refreshKeys, presented, known.salt))
    throw new Problem('invalid_grant')

  const rotated = await rotateSession(db, known.id, presented.generation, policy)
  if (rotated) return withUser(db, rotated)

  // Another request was faster, now or before: what counts is how the session is after it.
  const session = await findLiveSession(db, known.id, graceSeconds)
  if (!session) throw new Problem('invalid_grant')
  if (session.generation === presented.generation + 1 && session.justRotated) return withUser(db, session)
  if (session.generation > presented.generation) {
    await endSession(deps, session, { event: 'refresh_token_reused', ip })
  }
  throw new Problem('invalid_grant', { reason: 'reused' })
}

async function withUser(db: Db, session: Session): Promise<SignedIn> {
  const user = await findUser(db, session.user_id)
  if (!user) throw new Problem('invalid_grant')
  return { user, session }
}

async function endSession(
  { db, revocations, sessionPolicy, log }: SessionDeps,
  session: Session,
  { event, ip }: { event: 'refresh_token_reused'; ip: string },
): Promise<void> {
  const revoked = await db.transaction().execute(async (trx) => {
    const ended = await endSessionsWhere(trx, sessionPolicy.accessTokenSeconds, (eb) =>
      eb.and([eb('id', '=', session.id)]),
    )
    if (ended.length > 0) {
      await recordEvent(trx, log, { event, userId: session.user_id, sessionId: session.id, ip })
    }
    return ended
  })
  revocations.apply(revoked)
}

/**
 * Ends one of the owner's sessions.
 * @throws Problem session_not_found, the same for a stranger's session and for none
 */
export async function endOwnedSession(deps: SessionDeps, owner: OwnerId, id: string): Promise<void> {
  const ended = await endOwnedSessionsWhere(deps, owner, { only: id })
  if (ended === 0) throw new Problem('session_not_found')
}

/** Ends the owner's sessions: all, or all but one, or one. @returns how many */
export async function endOwnedSessionsWhere(
  { db, revocations, sessionPolicy, log }: SessionDeps,
  owner: OwnerId,
  which: { readonly only?: string | undefined; readonly except?: string | undefined },
): Promise<number> {
  const ended = await db.transaction().execute(async (trx) => {
    const revoked = await endOwnedSessions(trx, sessionPolicy, owner, which)
    for (const revocation of revoked) {
      if (!('session' in revocation)) continue
      await recordEvent(trx, log, { event: 'session_ended', userId: owner, sessionId: revocation.session })
    }
    return revoked
  })
  revocations.apply(ended)
  return ended.length
}

/** As part of a larger change; the caller applies the revocations once that has committed. */
export async function endOwnedSessions(
  trx: Trx,
  { accessTokenSeconds }: SessionPolicy,
  owner: OwnerId,
  { only, except }: { readonly only?: string | undefined; readonly except?: string | undefined },
): Promise<Revocation[]> {
  return endSessionsWhere(trx, accessTokenSeconds, (eb) =>
    eb.and([
      eb('user_id', '=', owner),
      ...(only === undefined ? [] : [eb('id', '=', only)]),
      ...(except === undefined ? [] : [eb('id', '!=', except)]),
    ]),
  )
}
