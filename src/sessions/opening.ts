import type { Trx } from '../db/schema.ts'
import { lockUser, type User } from '../users/repository.ts'
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

/** Sessions that a user can have at a time. */
export const maxSessions = 20

/**
 * Opens a session; past {@link maxSessions} the oldest end.
 * @param passwordHash what the password was verified against
 * @returns undefined when the account is gone, or has another password by now
 */
export async function openSession(
  trx: Trx,
  policy: SessionPolicy,
  { userId, passwordHash, caller }: { userId: string; passwordHash: string; caller: Caller },
  effects: Effects,
): Promise<Session | undefined> {
  // Counting and inserting under the lock: of 50 logins at once, the cap still holds. And a login that was
  // verified while the password changed must not outlive the change.
  if ((await lockUser(trx, userId)) !== passwordHash) return undefined
  const surplus = await endSurplusSessions(trx, accessTokenLife(policy), userId, maxSessions - 1)
  noteEnded(effects, surplus, { userId, ip: caller.ip })
  return insertSession(trx, userId, caller, policy)
}
