import { type Selectable, sql } from 'kysely'
import { typeid } from 'typeid-js'
import type { ApiKeysTable, Db, Trx } from '../db/schema.ts'
import type { Revocation } from '../sessions/revocations.ts'
import type { OwnerId, Principal } from '../tokens/owner.ts'

/** A key as its owner sees it; the text itself is stored nowhere. */
export type ApiKey = Omit<Selectable<ApiKeysTable>, 'user_id' | 'hash'>

const visible = ['id', 'name', 'scopes', 'created_at', 'expires_at', 'last_used_at'] as const

/** The clean-up deletes expired keys later. */
const isLive = sql<boolean>`expires_at > now()`

const seconds = (time: string) => Math.floor(Date.parse(time) / 1000)

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

/** The principal of a key that has not expired. An index look-up of a hash, whose timing reveals nothing of a key. */
export async function findKeyPrincipal(db: Db, hash: Uint8Array): Promise<Principal | undefined> {
  const row = await db
    .selectFrom('api_keys')
    .select(['id', 'user_id', 'scopes', 'created_at', 'expires_at'])
    .where('hash', '=', hash)
    .where(isLive)
    .executeTakeFirst()
  if (!row) return undefined
  return {
    // Only accounts of this service have sessions, and so keys.
    sub: row.user_id,
    userId: row.user_id,
    issuer: undefined,
    sid: undefined,
    issuedAt: seconds(row.created_at),
    expiresAt: seconds(row.expires_at),
    scopes: row.scopes,
    keyId: row.id,
  }
}

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
    .returning(['id', 'user_id', 'expires_at'])
    .execute()
  return rows.map(toEnded)
}

/** The key that was presented: whoever has it may end it (RFC 7009 section 2). */
export async function deletePresentedKey(trx: Trx, hash: Uint8Array): Promise<EndedKey[]> {
  const rows = await trx
    .deleteFrom('api_keys')
    .where('hash', '=', hash)
    .where(isLive)
    .returning(['id', 'user_id', 'expires_at'])
    .execute()
  return rows.map(toEnded)
}

/** As part of a larger change of the account. */
export async function deleteKeysOf(trx: Trx, userId: string): Promise<EndedKey[]> {
  const rows = await trx
    .deleteFrom('api_keys')
    .where('user_id', '=', userId)
    .where(isLive)
    .returning(['id', 'user_id', 'expires_at'])
    .execute()
  return rows.map(toEnded)
}

function toEnded(row: Pick<Selectable<ApiKeysTable>, 'id' | 'user_id' | 'expires_at'>): EndedKey {
  const revocation = { key: row.id, endsAt: seconds(row.expires_at) + 60 }
  return { userId: row.user_id, keyId: row.id, revocation }
}

/**
 * Sets when keys were last used, in one statement. Skips keys that another instance is writing, and takes the locks in
 * order of id, against deadlocks.
 * @param uses seconds since the epoch by key id
 */
export async function setLastUses(db: Db, uses: ReadonlyMap<string, number>): Promise<void> {
  await sql`
    update api_keys set last_used_at = used.at
    from (
      select k.id, to_timestamp(u.at) as at
      from unnest(${[...uses.keys()]}::text[], ${[...uses.values()]}::float8[]) as u (id, at)
      join api_keys k on k.id = u.id
      where k.last_used_at is null or k.last_used_at < to_timestamp(u.at)
      order by k.id for no key update of k skip locked
    ) used
    where api_keys.id = used.id`.execute(db)
}
