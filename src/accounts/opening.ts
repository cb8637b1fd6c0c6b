import type { Trx } from '../db/schema.ts'
import type { Caller } from '../sessions/caller.ts'
import type { Effects } from '../sessions/commit.ts'
import { openSession, type SignedIn } from '../sessions/opening.ts'
import { endWaiting } from '../users/claims.ts'
import type { Credentials } from '../users/without-owner.ts'
import type { AccountDeps } from './deps.ts'
import type { Verified } from './password-check.ts'

/** Opens a session as part of a larger change. @returns undefined when {@link openSession} does */
export async function openVerifiedIn(
  trx: Trx,
  { sessionPolicy }: Pick<AccountDeps, 'sessionPolicy'>,
  {
    account,
    hash: passwordHash,
    secondFactor,
    caller,
  }: Verified<Credentials> & { readonly secondFactor: boolean; readonly caller: Caller },
  effects: Effects,
): Promise<SignedIn | undefined> {
  const { password_hash: _, reset: __, second_factor: ___, banned: ____, waiting, ...user } = account
  const opening = { userId: user.id, passwordHash, secondFactor, caller }
  const session = await openSession(trx, sessionPolicy, opening, effects)
  if (!session) return undefined
  if (waiting) await endWaiting(trx, user.id)
  effects.events.push({ event: 'login', userId: user.id, sessionId: session.id, ip: caller.ip })
  return { user, session }
}
