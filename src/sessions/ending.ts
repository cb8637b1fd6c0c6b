import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { type Consequences, committing } from './committing.ts'
import { endSessionsWhere } from './revocation-repository.ts'
import type { Revocation } from './revocations.ts'
import type { SessionDeps, SessionPolicy } from './service.ts'

/** Which of an owner's sessions. An id that is none of them names none. */
export type WhichSessions = 'all' | { readonly only: string } | { readonly except: string }

/**
 * Ends one of the owner's sessions.
 * @throws Problem session_not_found, the same for a stranger's session and for none
 */
export async function endOwnedSession(
  deps: SessionDeps,
  owner: OwnerId,
  id: string,
  ip: string,
): Promise<void> {
  if ((await endOwnedSessions(deps, owner, { only: id }, ip)) === 0) throw new Problem('session_not_found')
}

/** @returns how many sessions were ended */
export async function endOwnedSessions(
  deps: SessionDeps,
  owner: OwnerId,
  which: WhichSessions,
  ip: string,
): Promise<number> {
  return committing(deps, async (trx, consequences) => {
    await endOwnedSessionsIn(trx, deps.sessionPolicy, { owner, which, ip }, consequences)
    return consequences.revoked.length
  })
}

/** As part of a larger change. */
export async function endOwnedSessionsIn(
  trx: Trx,
  { accessTokenSeconds }: SessionPolicy,
  { owner, which, ip }: { owner: OwnerId; which: WhichSessions; ip: string },
  consequences: Consequences,
): Promise<void> {
  const ended = await endSessionsWhere(trx, accessTokenSeconds, (eb) =>
    eb.and([
      eb('user_id', '=', owner),
      ...(which !== 'all' && 'only' in which ? [eb('id', '=', which.only)] : []),
      ...(which !== 'all' && 'except' in which ? [eb('id', '!=', which.except)] : []),
    ]),
  )
  noteEnded(consequences, ended, { userId: owner, ip })
}

/** Leaves what is to be told of sessions that have ended. */
export function noteEnded(
  { revoked, events }: Consequences,
  ended: readonly Revocation[],
  { userId, ip }: { userId: string; ip: string },
): void {
  for (const revocation of ended) {
    revoked.push(revocation)
    if ('session' in revocation) {
      events.push({ event: 'session_ended', userId, sessionId: revocation.session, ip })
    }
  }
}
