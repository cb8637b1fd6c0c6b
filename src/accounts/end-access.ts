import type { Trx } from '../db/schema.ts'
import type { Effects } from '../sessions/commit.ts'
import { endOwnedSessionsIn, revokeForeignTokensIn } from '../sessions/ending.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import type { WhichSessions } from '../sessions/revocation-repository.ts'
import type { OwnerId } from '../tokens/owner.ts'

/** Ends the owner's sessions, and revokes every token issued until now that belongs to no session. */
export async function endAccess(
  trx: Trx,
  deps: SessionDeps,
  ending: { owner: OwnerId; which: WhichSessions; ip: string | undefined },
  effects: Effects,
): Promise<void> {
  await endOwnedSessionsIn(trx, deps.sessionPolicy, ending, effects)
  await revokeForeignTokensIn(trx, deps, ending, effects)
}
