import type { Db } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { KeyedRequest } from '../idempotency/keyed-request.ts'
import { once } from '../idempotency/once.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { newItemAgain, type Values, type VersionedItem } from './item.ts'
import { insertWithinQuota } from './quota.ts'
import type { Resource } from './resource.ts'

interface Creation {
  /** Of a request with an `Idempotency-Key`: a repetition gets the item as it was created. */
  readonly keyed: KeyedRequest | null
  /** Items that a user may have. */
  readonly max: number
}

/** @throws Problem note_limit_reached, idempotency_in_progress, idempotency_key_reused */
export async function createItem(
  resource: Resource,
  db: Db,
  owner: OwnerId,
  values: Values,
  { keyed, max }: Creation,
): Promise<VersionedItem> {
  if (!keyed) return insertWithinQuota(resource, db, owner, values, max)
  return inTransaction(db, (trx) =>
    once(trx, owner, keyed, {
      run: () => insertWithinQuota(resource, trx, owner, values, max),
      outcomeOf: ({ item: { id, created_at } }) => ({ id, created_at }),
      recall: (made) => newItemAgain(owner, values, made),
    }),
  )
}
