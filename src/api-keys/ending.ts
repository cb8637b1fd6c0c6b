import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import { commit, type Effects } from '../sessions/commit.ts'
import type { SessionDeps } from '../sessions/policy.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { deleteOwnedKey, type EndedKey } from './repository.ts'
import { isWellFormedKey, keyHash } from './text.ts'
import { deleteKeysOf, deletePresentedKey } from './without-owner.ts'

/**
 * Ends one of the owner's keys.
 * @throws Problem key_not_found, the same for another user's key and for an unknown id
 */
export async function endOwnedKey(deps: SessionDeps, owner: OwnerId, id: string, ip: string): Promise<void> {
  const ended = await commit(deps, async (trx, effects) =>
    noteKeysEnded(effects, await deleteOwnedKey(trx, owner, id), ip),
  )
  if (ended === 0) throw new Problem('key_not_found')
}

/**
 * Ends the key that a request presents, if it is one: it is its own proof (RFC 7009 section 2).
 * @returns whether a key has ended
 */
export async function endPresentedKey(deps: SessionDeps, text: string, ip: string): Promise<boolean> {
  if (!isWellFormedKey(text)) return false
  const hash = Buffer.from(keyHash(text), 'base64url')
  const ended = await commit(deps, async (trx, effects) =>
    noteKeysEnded(effects, await deletePresentedKey(trx, hash), ip),
  )
  return ended > 0
}

/** Ends every key of a user, as part of a larger change. */
export async function endKeysIn(
  trx: Trx,
  { userId, ip }: { readonly userId: string; readonly ip: string | undefined },
  effects: Effects,
): Promise<void> {
  noteKeysEnded(effects, await deleteKeysOf(trx, userId), ip)
}

/** @returns how many */
function noteKeysEnded(
  { revoked, events }: Effects,
  ended: readonly EndedKey[],
  ip: string | undefined,
): number {
  for (const { userId, keyId, revocation } of ended) {
    revoked.push(revocation)
    events.push({ event: 'api_key_ended', userId, keyId, ip })
  }
  return ended.length
}
