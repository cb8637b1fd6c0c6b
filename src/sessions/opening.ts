import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { isEnrolled } from '../second-factor/repository.ts'
import { lockForSession } from '../users/bans.ts'
import type { User } from '../users/user.ts'
import type { Caller } from './caller.ts'
import type { Effects } from './commit.ts'
import { noteEnded } from './ending.ts'
import type { SessionPolicy } from './policy.ts'
import { insertSession, type Session } from './repository.ts'
import { accessTokenLife, endSurplusSessions } from './revocation-repository.ts'

export interface SignedIn {
  readonly user: User
  readonly session: Session
}

/** Concurrent sessions of one user, at most. */
export const maxSessions = 20

interface Opening {
  readonly userId: string
  /** The hash that the password matched. */
  readonly passwordHash: string
  /** Whether a code was verified as well. */
  readonly secondFactor: boolean
  readonly caller: Caller
}

/**
 * Opens a session; past {@link maxSessions} the oldest ends. The only way to one, so a second factor is demanded here,
 * whatever the way to here has checked.
 * @returns undefined when the account was deleted, its hash replaced or a second factor confirmed meanwhile
 * @throws Problem account_disabled when it was banned meanwhile
 */
export async function openSession(
  trx: Trx,
  policy: SessionPolicy,
  { userId, passwordHash, secondFactor, caller }: Opening,
  effects: Effects,
): Promise<Session | undefined> {
  // Count and insert under the lock: concurrent logins cannot exceed the cap. And a login verified before a concurrent
  // password change must not survive it.
  const account = await lockForSession(trx, userId)
  if (account?.password_hash !== passwordHash) return undefined
  if (account.banned) throw new Problem('account_disabled')
  // A statement of its own: one that waited for the lock would still read what was true before.
  if (!secondFactor && policy.secondFactor !== 'off' && (await isEnrolled(trx, userId))) return undefined
  const surplus = await endSurplusSessions(trx, accessTokenLife(policy), userId, maxSessions - 1)
  noteEnded(effects, surplus, { userId, ip: caller.ip })
  return insertSession(trx, userId, { ...policy, caller, secondFactor })
}
