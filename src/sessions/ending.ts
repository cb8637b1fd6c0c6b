import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { sharedSecretIssuer } from '../tokens/foreign-token.ts'
import { issuerOf, type OwnerId, type Principal } from '../tokens/owner.ts'
import { commit, type Effects } from './commit.ts'
import type { SessionDeps, SessionPolicy } from './policy.ts'
import {
  accessTokenLife,
  endOwnedSessions,
  revokeOwnedTokens,
  type WhichSessions,
} from './revocation-repository.ts'
import type { Revocation, Revocations } from './revocations.ts'

/**
 * Ends one of the owner's sessions.
 * @throws Problem session_not_found, the same for another user's session and for an unknown id
 */
export async function endOwnedSession(
  deps: SessionDeps,
  owner: OwnerId,
  id: string,
  ip: string,
): Promise<void> {
  const ended = await commit(deps, async (trx, effects) => {
    await endOwnedSessionsIn(trx, deps.sessionPolicy, { owner, which: { only: id }, ip }, effects)
    return effects.revoked.length
  })
  if (ended === 0) throw new Problem('session_not_found')
}

/** Which of a user's sessions a logout ends: the token's own, all others, or all. */
export type LogOutScope = 'current' | 'others' | 'all'

/**
 * Ends sessions and revokes their tokens. A token without a session, such as a trusted issuer's, cannot be revoked
 * alone: all such tokens of the user issued until now are revoked.
 */
export async function logOut(
  deps: SessionDeps,
  { owner, principal, ip }: { owner: OwnerId; principal: Principal; ip: string },
  scope: LogOutScope,
): Promise<void> {
  const { sid, issuedAt } = principal
  const which = { current: { only: sid ?? '' }, others: { except: sid ?? '' }, all: 'all' } as const
  await commit(deps, async (trx, effects) => {
    await endOwnedSessionsIn(trx, deps.sessionPolicy, { owner, which: which[scope], ip }, effects)
    if (sid === undefined ? scope === 'others' : scope === 'current') return
    const asking = sid === undefined ? issuedAt : undefined
    await revokeForeignTokensIn(trx, deps, { owner, asking }, effects)
    // With a session, it is unknown whether the user has such tokens at all.
    if (sid === undefined) effects.events.push({ event: 'tokens_revoked', userId: owner, ip })
  })
}

/** As part of a larger change. */
export async function endOwnedSessionsIn(
  trx: Trx,
  policy: SessionPolicy,
  { owner, which, ip }: { owner: OwnerId; which: WhichSessions; ip: string | undefined },
  effects: Effects,
): Promise<void> {
  const ended = await endOwnedSessions(trx, accessTokenLife(policy), owner, which)
  noteEnded(effects, ended, { userId: owner, ip })
}

/**
 * Revokes every token of the owner that was issued until now and has no session, as part of a larger change. Writes
 * nothing where no such token is accepted: otherwise a user could fill the table with useless rows.
 */
export async function revokeForeignTokensIn(
  trx: Trx,
  {
    sessionPolicy: { sharedSecret, foreignTokenSeconds, clock },
    revocations,
  }: { readonly sessionPolicy: SessionPolicy; readonly revocations: Revocations },
  { owner, asking }: { readonly owner: OwnerId; readonly asking?: number | undefined },
  { revoked }: Effects,
): Promise<void> {
  const issuer = issuerOf(owner) ?? (sharedSecret ? sharedSecretIssuer : undefined)
  if (issuer === undefined) return
  const life = { seconds: foreignTokenSeconds, now: clock() }
  revoked.push(...(await revokeOwnedTokens(trx, owner, life, revocations.issuedByNow(issuer, asking))))
}

/** Adds the revocations and events of ended sessions to the effects. */
export function noteEnded(
  { revoked, events }: Effects,
  ended: readonly Revocation[],
  { userId, ip }: { userId: string; ip: string | undefined },
): void {
  for (const revocation of ended) {
    revoked.push(revocation)
    if ('session' in revocation) {
      events.push({ event: 'session_ended', userId, sessionId: revocation.session, ip })
    }
  }
}
