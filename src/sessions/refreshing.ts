import type { Db } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { findUser } from '../users/repository.ts'
import type { Caller } from './caller.ts'
import { commit } from './commit.ts'
import type { SignedIn } from './opening.ts'
import type { SessionDeps } from './policy.ts'
import { parseRefreshToken, verifiesRefreshToken } from './refresh-token.ts'
import { findLiveSession, rotateSession, type Session } from './repository.ts'
import { accessTokenLife, endSession } from './revocation-repository.ts'

/** Time in which the refresh token before the current one may come again: a lost answer, two tabs. */
const graceSeconds = 10

/**
 * Exchanges a refresh token for the next one (RFC 6749 section 6; rotation and its reuse as RFC 9700 section
 * 4.14.2). The token before the current one, within the grace, gets the same successor again. Any older one, or
 * that one later, means that two parties hold the session's tokens: it ends.
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

  // Another request was faster, now or before: what counts is how the session is after it.
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
    // Of several that present old tokens at once, one ends the session.
    if (ended.length === 0) return
    events.push({ event: 'refresh_token_reused', userId, sessionId: id, ip })
    notices.push({ kind: 'refresh_token_reused', userId, ip })
  })
}
