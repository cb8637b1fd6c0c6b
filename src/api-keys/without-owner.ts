import { sql } from 'kysely'
import type { Db, Trx } from '../db/schema.ts'
import type { Principal } from '../tokens/owner.ts'
import { type EndedKey, endedColumns, isLive, secondsOf, toEnded } from './repository.ts'

/** The principal of a key that has not expired. An index look-up of a hash, whose timing reveals nothing of a key. */
export async function findKeyPrincipal(db: Db, hash: Uint8Array): Promise<Principal | undefined> {
  const row = await db
    .selectFrom('api_keys')
    .select(['api_keys.id', 'user_id', 'scopes', 'created_at', 'expires_at'])
    .select((eb) =>
      eb
        .exists(
          eb
            .selectFrom('totp_factors')
            .select('id')
            .whereRef('totp_factors.user_id', '=', 'api_keys.user_id')
            .where('confirmed_at', 'is not', null),
        )
        .as('enrolled'),
    )
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
    issuedAt: secondsOf(row.created_at),
    expiresAt: secondsOf(row.expires_at),
    scopes: row.scopes,
    keyId: row.id,
    enrolled: Boolean(row.enrolled),
  }
}

/** The key that was presented: whoever has it may end it (RFC 7009 section 2). */
export async function deletePresentedKey(trx: Trx, hash: Uint8Array): Promise<EndedKey[]> {
  const rows = await trx
    .deleteFrom('api_keys')
    .where('hash', '=', hash)
    .where(isLive)
    .returning(endedColumns)
    .execute()
  return rows.map(toEnded)
}

/** As part of a larger change of the account. */
export async function deleteKeysOf(trx: Trx, userId: string): Promise<EndedKey[]> {
  const rows = await trx
    .deleteFrom('api_keys')
    .where('user_id', '=', userId)
    .where(isLive)
    .returning(endedColumns)
    .execute()
  return rows.map(toEnded)
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
