import { type Selectable, sql, type Transaction } from 'kysely'
import type { Database, Db, SigningKeysTable } from '../db/schema.ts'
import type { Dated, KeyAlgorithm, PublicJwk } from './signing-keys.ts'

export interface StoredKey extends Dated {
  readonly algorithm: KeyAlgorithm
  readonly publicJwk: PublicJwk
  /** See key-encryption.ts. */
  readonly sealed: string
}

/** In order of `signsFrom`. */
export async function listSigningKeys(db: Db, algorithm: KeyAlgorithm): Promise<StoredKey[]> {
  const rows = await db
    .selectFrom('signing_keys')
    .selectAll()
    .where('algorithm', '=', algorithm)
    .orderBy('signs_from')
    .orderBy('created_at')
    .execute()
  return rows.map(toStoredKey)
}

/** Serializes decisions about keys across instances, until the transaction ends. */
export async function lockSigningKeys(trx: Transaction<Database>): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtext('latchkey signing keys'))`.execute(trx)
}

export async function insertSigningKey(trx: Transaction<Database>, key: StoredKey): Promise<void> {
  await trx
    .insertInto('signing_keys')
    .values({
      kid: key.kid,
      algorithm: key.algorithm,
      public_jwk: JSON.stringify(key.publicJwk),
      private_key: key.sealed,
      signs_from: toTimestamp(key.signsFrom),
    })
    .execute()
}

/** Moves pending keys into the past, so that the next key made is the latest. */
export async function endWaiting(
  trx: Transaction<Database>,
  algorithm: KeyAlgorithm,
  now: number,
): Promise<void> {
  await trx
    .updateTable('signing_keys')
    .set({ signs_from: toTimestamp(now - 1) })
    .where('algorithm', '=', algorithm)
    .where('signs_from', '>', toTimestamp(now - 1))
    .execute()
}

/** Replaces a key's ciphertext unless another instance has (compare and swap). */
export async function resealSigningKey(db: Db, { kid, sealed }: StoredKey, resealed: string): Promise<void> {
  await db
    .updateTable('signing_keys')
    .set({ private_key: resealed })
    .where('kid', '=', kid)
    .where('private_key', '=', sealed)
    .execute()
}

export async function deleteSigningKeys(db: Db, kids: readonly string[]): Promise<void> {
  await db.deleteFrom('signing_keys').where('kid', 'in', kids).execute()
}

function toStoredKey(row: Selectable<SigningKeysTable>): StoredKey {
  return {
    kid: row.kid,
    algorithm: row.algorithm,
    publicJwk: row.public_jwk,
    sealed: row.private_key,
    signsFrom: Date.parse(row.signs_from) / 1000,
  }
}

function toTimestamp(seconds: number): string {
  return new Date(seconds * 1000).toISOString()
}
