import { type Selectable, sql } from 'kysely'
import { typeid } from 'typeid-js'
import type { ApiKeysTable, Db, Trx } from '../db/schema.ts'
import type { Revocation } from '../sessions/revocations.ts'
import type { OwnerId } from '../tokens/owner.ts'

/** A key as its owner sees it; the text itself is stored nowhere. */
export type ApiKey = Omit<Selectable<ApiKeysTable>, 'user_id' | 'hash'>

const visible = ['id', 'name', 'scopes', 'created_at', 'expires_at', 'last_used_at'] as const

/** The clean-up deletes expired keys later. */
export const isLive = sql<boolean>`expires_at > now()`

/** Seconds since the epoch. */
export const secondsOf = (time: string) => Math.floor(Date.parse(time) / 1000)

export interface NewKey {
  readonly name: string
  readonly scopes: readonly string[]
  readonly days: number
  readonly hash: Uint8Array
}

export async function insertOwnedKey(
  trx: Trx,
  owner: OwnerId,
  { name, scopes, days, hash }: NewKey,
): Promise<ApiKey> {
  return trx
    .insertInto('api_keys')
    .values({
      id: typeid('key').toString(),
      user_id: owner,
      name,
      scopes: [...scopes],
      hash,
      expires_at: sql<string>`now() + make_interval(days => ${days})`,
    })
    .returning(visible)
    .executeTakeFirstOrThrow()
}

/** Only under the user's lock: otherwise concurrent requests count the same keys. */
export async function countOwnedKeys(trx: Trx, owner: OwnerId): Promise<number> {
  const { count } = await trx
    .selectFrom('api_keys')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('user_id', '=', owner)
    .where(isLive)
    .executeTakeFirstOrThrow()
  return Number(count)
}

/** The owner's keys that have not expired, newest first. */
export async function listOwnedKeys(db: Db, owner: OwnerId): Promise<ApiKey[]> {
  return db
    .selectFrom('api_keys')
    .select(visible)
    .where('user_id', '=', owner)
    .where(isLive)
    .orderBy('created_at', 'desc')
    .orderBy('id', 'desc')
    .execute()
}

/** The columns of a deleted row that {@link toEnded} takes. */
export const endedColumns = ['id', 'user_id', 'expires_at'] as const

/** A key that was deleted. A trigger has inserted its revocation, in the same transaction. */
export interface EndedKey {
  readonly userId: string
  readonly keyId: string
  readonly revocation: Revocation
}

/** An id that is not the owner's selects nothing, nor does that of an expired key. */
export async function deleteOwnedKey(trx: Trx, owner: OwnerId, id: string): Promise<EndedKey[]> {
  const rows = await trx
    .deleteFrom('api_keys')
    .where('user_id', '=', owner)
    .where('id', '=', id)
    .where(isLive)
    .returning(endedColumns)
    .execute()
  return rows.map(toEnded)
}

export function toEnded(row: Pick<Selectable<ApiKeysTable>, 'id' | 'user_id' | 'expires_at'>): EndedKey {
  const revocation = { key: row.id, endsAt: secondsOf(row.expires_at) + 60 }
  return { userId: row.user_id, keyId: row.id, revocation }
}
