import type { Trx } from '../db/schema.ts'
import { Problem } from '../problem.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { hasBody, type KeyedRequest } from './keyed-request.ts'
import { findKept, hasMaxKeys, type Kept, keep, tryLockKey } from './repository.ts'

/** Work that is done once for a key. */
interface Work<T, Outcome extends object> {
  /** In the same transaction: what it throws leaves nothing behind, and the key free. */
  readonly run: () => Promise<T>
  /** What to keep of it: only what the request itself does not say. */
  readonly outcomeOf: (result: T) => Outcome
  /** The same result again. */
  readonly recall: (outcome: Outcome) => T
}

/**
 * Does the work of an owner's request, or gives what came of it the first time. The key, the effect and the outcome
 * are one transaction: on every instance, and after a crash, all of them are there or none.
 * @throws Problem idempotency_in_progress, idempotency_key_reused, rate_limited past the keys of a day, and whatever
 * `run` does
 */
export async function once<T, Outcome extends object>(
  trx: Trx,
  owner: OwnerId,
  request: KeyedRequest,
  { run, outcomeOf, recall }: Work<T, Outcome>,
): Promise<T> {
  const free = await tryLockKey(trx, owner, request)
  const kept = await findKept(trx, owner, request)
  if (kept) {
    assertSame(kept, request)
    return recall(kept.outcome as Outcome)
  }
  if (!free) throw inProgress()
  const result = await run()
  if (!(await keep(trx, owner, request, outcomeOf(result)))) {
    throw (await hasMaxKeys(trx, owner)) ? tooManyKeys() : inProgress()
  }
  return result
}

/** @throws Problem idempotency_key_reused */
export function assertSame({ body_mac: bodyMac }: Kept, request: KeyedRequest): void {
  if (!hasBody(request, bodyMac)) throw new Problem('idempotency_key_reused', { reason: 'body' })
}

/** Keys go as they get old, the oldest within the next clean-ups or in a day. */
function tooManyKeys(): Problem {
  return new Problem('rate_limited', { reason: 'idempotency_keys', headers: { 'retry-after': '3600' } })
}

export function inProgress(): Problem {
  return new Problem('idempotency_in_progress', { headers: { 'retry-after': '1' } })
}
