import type { Trx } from '../db/schema.ts'
import type { User } from '../users/user.ts'
import { lockUser } from '../users/without-owner.ts'
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

/**
 * Opens a session; past {@link maxSessions} the oldest ends.
 * @param passwordHash the hash that the password matched
 * @returns undefined when the account was deleted or its hash replaced meanwhile
 */
export async function openSession(
  trx: Trx,
  policy: SessionPolicy,
  { userId, passwordHash, caller }: { userId: string; passwordHash: string; caller: Caller },
  effects: Effects,
): Promise<Session | undefined> {
  // Count and insert under the lock: concurrent logins cannot exceed the cap. And a login verified before a concurrent
  // password change must not survive it.
  if ((await lockUser(trx, userId)) !== passwordHash) return undefined
  const surplus = await endSurplusSessions(trx, accessTokenLife(policy), userId, maxSessions - 1)
  noteEnded(effects, surplus, { userId, ip: caller.ip })
  return insertSession(trx, userId, caller, policy)
}
