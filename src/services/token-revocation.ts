import { endPresentedKey } from '../api-keys/ending.ts'
import { claimsToBeKey } from '../api-keys/text.ts'
import { commit } from '../sessions/commit.ts'
import { logOut, noteEnded } from '../sessions/ending.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { parseRefreshToken, verifiesRefreshToken } from '../sessions/refresh-token.ts'
import { findLiveSession } from '../sessions/repository.ts'
import { accessTokenLife, endSession } from '../sessions/revocation-repository.ts'
import { ownerOf, type Principal } from '../tokens/owner.ts'
import { TokenRefused } from '../tokens/refusal.ts'

interface RevocationDeps extends SessionDeps {
  /** @throws TokenRefused, and Problem service_unavailable */
  verifyBearer(text: string): Promise<{ readonly user?: Principal }>
}

/**
 * Ends what a token opens, with the effects of a logout (RFC 7009). A token that opens nothing has no effect, and nor
 * has the token of a service client, which has no session.
 * @throws Problem service_unavailable
 */
export async function revokeToken(deps: RevocationDeps, token: string, ip: string): Promise<void> {
  if (claimsToBeKey(token)) {
    await endPresentedKey(deps, token, ip)
    return
  }
  if (parseRefreshToken(token)) return endByRefreshToken(deps, token, ip)
  const user = await userOf(deps, token)
  if (user) await logOut(deps, { owner: ownerOf(user), principal: user, ip }, 'current')
}

/** Any token of the session, a rotated one too: whoever has one may end it. */
async function endByRefreshToken(deps: SessionDeps, token: string, ip: string): Promise<void> {
  const presented = parseRefreshToken(token)
  const session = presented && (await findLiveSession(deps.db, presented.sessionId, 0))
  if (!session || !verifiesRefreshToken(deps.sessionPolicy.refreshKeys, presented, session.salt)) return
  await commit(deps, async (trx, effects) => {
    const ended = await endSession(trx, accessTokenLife(deps.sessionPolicy), session.id)
    noteEnded(effects, ended, { userId: session.user_id, ip })
  })
}

async function userOf({ verifyBearer }: RevocationDeps, token: string): Promise<Principal | undefined> {
  try {
    return (await verifyBearer(token)).user
  } catch (error) {
    if (error instanceof TokenRefused) return undefined
    throw error
  }
}
