import type { Db } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { findUser } from '../users/without-owner.ts'
import type { Caller } from './caller.ts'
import { commit } from './commit.ts'
import type { SignedIn } from './opening.ts'
import type { SessionDeps } from './policy.ts'
import { parseRefreshToken, verifiesRefreshToken } from './refresh-token.ts'
import { findLiveSession, rotateSession, type Session } from './repository.ts'
import { accessTokenLife, endSession } from './revocation-repository.ts'

/** How long the previous refresh token is still accepted: for a lost response, and for two tabs. */
const graceSeconds = 10

/**
 * Exchanges a refresh token for the next one (RFC 6749 section 6), with rotation and reuse detection (RFC 9700 section
 * 4.14.2). Within the grace period the previous token gets the same successor again. Otherwise an old token means that
 * two parties hold the session's tokens: the session ends.
 * @throws Problem invalid_grant
 */
export async function refreshSession(deps: SessionDeps, token: string, { ip }: Caller): Promise<SignedIn> {
  const { db, sessionPolicy: policy } = deps
  const presented = parseRefreshToken(token)
  const known = presented && (await findLiveSession(db, presented.sessionId, graceSeconds))
  if (!known || !verifiesRefreshToken(policy.refreshKeys, presented, known.salt))
    throw new Problem('invalid_grant')

  const rotated = await rotateSession(db, known.id, presented.generation, policy)
  if (rotated) return withUser(db, rotated)

  // A concurrent or earlier request has rotated the session: re-read its state.
  const session = await findLiveSession(db, known.id, graceSeconds)
  if (!session) throw new Problem('invalid_grant')
  if (session.generation === presented.generation + 1 && session.justRotated) return withUser(db, session)
  if (session.generation > presented.generation) await endStolenSession(deps, session, ip)
  throw new Problem('invalid_grant', { reason: 'reused' })
}

async function withUser(db: Db, session: Session): Promise<SignedIn> {
  const user = await findUser(db, session.user_id)
  if (!user) throw new Problem('invalid_grant')
  return { user, session }
}

async function endStolenSession(
  deps: SessionDeps,
  { id, user_id: userId }: Session,
  ip: string,
): Promise<void> {
  await commit(deps, async (trx, { revoked, events, notices }) => {
    const ended = await endSession(trx, accessTokenLife(deps.sessionPolicy), id)
    revoked.push(...ended)
    // Of concurrent reuses, one ends the session and reports it.
    if (ended.length === 0) return
    events.push({ event: 'refresh_token_reused', userId, sessionId: id, ip })
    notices.push({ kind: 'refresh_token_reused', userId, ip })
  })
}
