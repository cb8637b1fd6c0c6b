import type { Transaction } from 'kysely'
import type { Clock } from '../clock.ts'
import type { Database, Db } from '../db/schema.ts'
import {
  type SealingSecrets,
  sealedUnderAnother,
  sealPrivateKey,
  unsealPrivateKey,
} from './key-encryption.ts'
import { makeKeyPair } from './key-pair.ts'
import {
  deleteSigningKeys,
  endWaiting,
  insertSigningKey,
  listSigningKeys,
  lockSigningKeys,
  type StoredKey,
} from './repository.ts'
import {
  endOf,
  type KeyAlgorithm,
  rotationIsDue,
  rotationLead,
  SigningKeyError,
  signingKeyAt,
} from './signing-keys.ts'

export interface KeyStore extends SealingSecrets {
  readonly db: Db
  readonly algorithm: KeyAlgorithm
  readonly clock: Clock
}

export interface KeyPolicy {
  /** Lifetime of an access token, in seconds. */
  readonly lifetime: number
  /** 0 never rotates. */
  readonly rotationDays: number
}

/**
 * Makes the first key, or the next one when the newest is too old, deletes the ended ones and returns the rest.
 * Idempotent, and serialized across instances by a lock.
 */
export async function maintainKeys(store: KeyStore, policy: KeyPolicy): Promise<StoredKey[]> {
  const { db, algorithm, clock } = store
  const wanting = (keys: StoredKey[]) =>
    keys.length === 0 || rotationIsDue(keys, policy.rotationDays, clock())

  let keys = await listSigningKeys(db, algorithm)
  if (wanting(keys)) {
    keys = await underLock(store, async (trx, found) => {
      if (!wanting(found)) return found
      return [...found, await addKey(trx, store, found, rotationLead)]
    })
  }
  const ended = keys.filter((_, index) => endOf(keys, index, policy.lifetime) <= clock())
  if (ended.length === 0) return keys
  await deleteSigningKeys(
    db,
    ended.map((key) => key.kid),
  )
  return keys.filter((key) => !ended.includes(key))
}

/**
 * Makes the next key. It signs after `rotationLead`, when every verifier has fetched it; `atOnce` is for an emergency,
 * and supersedes a pending key.
 * @throws SigningKeyError when a next key is pending already, or the keys are encrypted under another secret
 */
export async function rotateKeys(
  store: KeyStore,
  { atOnce }: { readonly atOnce: boolean },
): Promise<StoredKey> {
  return underLock(store, async (trx, keys) => {
    const now = store.clock()
    const newest = keys.at(-1)
    if (atOnce) {
      await endWaiting(trx, store.algorithm, now)
    } else if (newest && newest !== signingKeyAt(keys, now)) {
      const from = new Date(newest.signsFrom * 1000).toISOString()
      throw new SigningKeyError(
        `key ${newest.kid} waits to sign from ${from}; --now makes one that signs at once`,
      )
    }
    return addKey(trx, store, keys, atOnce ? 0 : rotationLead)
  })
}

function underLock<T>(
  { db, algorithm }: KeyStore,
  decide: (trx: Transaction<Database>, keys: StoredKey[]) => Promise<T>,
): Promise<T> {
  return db.transaction().execute(async (trx) => {
    await lockSigningKeys(trx)
    return decide(trx, await listSigningKeys(trx, algorithm))
  })
}

async function addKey(
  trx: Transaction<Database>,
  { algorithm, clock, ...secrets }: KeyStore,
  keys: readonly StoredKey[],
  lead: number,
): Promise<StoredKey> {
  // Encrypted under another secret than the running instances have, none of them could sign with it.
  const newest = keys.at(-1)
  if (newest && !unsealPrivateKey(newest.sealed, newest.kid, secrets)) throw sealedUnderAnother(newest.kid)
  const { publicJwk, privateKey } = await makeKeyPair(algorithm)
  const { kid } = publicJwk
  const sealed = sealPrivateKey(privateKey, kid, secrets.secret)
  const key = { kid, algorithm, publicJwk, sealed, signsFrom: clock() + (newest ? lead : 0) }
  await insertSigningKey(trx, key)
  return key
}
