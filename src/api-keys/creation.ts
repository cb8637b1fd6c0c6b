import type { Turns } from '../db/turns.ts'
import { type BudgetDeps, countOwned } from '../limits/own-budget.ts'
import { fieldProblem } from '../passwords/acceptable.ts'
import { Problem } from '../problem.ts'
import { commit } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import { lockOwnedLiveSession } from '../sessions/repository.ts'
import type { OwnerId, Principal } from '../tokens/owner.ts'
import { lockUser } from '../users/without-owner.ts'
import { type ApiKey, countOwnedKeys, insertOwnedKey } from './repository.ts'
import { keyHash, newKeyText } from './text.ts'

/** Keys of one user that have not expired, at most. */
export const maxKeys = 20

export interface KeyDeps extends SessionDeps, BudgetDeps {
  /** By owner, in this process: requests that wait for one lock must not hold every connection. */
  readonly keyTurns: Turns
}

export interface WantedKey {
  readonly name: string
  readonly scopes: readonly string[]
  readonly days: number
}

/**
 * @param known scopes that a route declares
 * @throws Problem validation_failed
 */
export function assertScopes(scopes: readonly string[], known: ReadonlySet<string>): void {
  const unknown = scopes.findIndex((scope) => !known.has(scope))
  if (unknown >= 0) throw fieldProblem(`scopes.${unknown}`, `must be one of ${[...known].sort().join(', ')}`)
}

/**
 * Creates a key for the user of a session.
 * @returns the key, and its text, which is stored nowhere
 * @throws Problem session_required, unauthorized, key_limit_reached, rate_limited
 */
export async function createOwnedKey(
  deps: KeyDeps,
  { owner, principal, ip }: { owner: OwnerId; principal: Principal; ip: string },
  { name, scopes, days }: WantedKey,
): Promise<{ key: ApiKey; text: string }> {
  const { sid } = principal
  if (sid === undefined) throw new Problem('session_required')
  const text = newKeyText()
  const hash = Buffer.from(keyHash(text), 'base64url')
  const insert = () =>
    commit(deps, async (trx, effects) => {
      // Count and insert under the locks: what ends the session, or every key, comes before or after.
      await lockUser(trx, owner)
      if (!(await lockOwnedLiveSession(trx, owner, sid))) throw sessionEnded()
      if ((await countOwnedKeys(trx, owner)) >= maxKeys) throw new Problem('key_limit_reached')
      const key = await insertOwnedKey(trx, owner, { name, scopes, days, hash })
      effects.events.push({ event: 'api_key_created', userId: owner, sessionId: sid, keyId: key.id, ip })
      effects.notices.push({ kind: 'api_key_created', userId: owner, ip })
      return key
    })
  const key = await withinBudget(deps, owner, ip, () => inTurn(deps.keyTurns, owner, insert))
  return { key, text }
}

/** As for a token whose session ended before the request. */
function sessionEnded(): Problem {
  const headers = { 'www-authenticate': 'Bearer error="invalid_token"' }
  return new Problem('unauthorized', { reason: 'revoked', headers })
}

/** Only created keys count: the revocation of each is kept until it would have expired. */
async function withinBudget<T>(
  deps: KeyDeps,
  owner: OwnerId,
  ip: string,
  work: () => Promise<T>,
): Promise<T> {
  const giveBack = await countOwned(deps, 'keys', { owner, ip })
  try {
    return await work()
  } catch (error) {
    giveBack()
    throw error
  }
}

async function inTurn<T>(turns: Turns, owner: OwnerId, work: () => Promise<T>): Promise<T> {
  await turns.take(owner)
  try {
    return await work()
  } finally {
    turns.give(owner)
  }
}
