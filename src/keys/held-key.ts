import { createPrivateKey } from 'node:crypto'
import type { Db } from '../db/schema.ts'
import {
  type SealingSecrets,
  sealedUnderAnother,
  sealPrivateKey,
  unsealPrivateKey,
} from './key-encryption.ts'
import { publicPemOf } from './key-pair.ts'
import { resealSigningKey, type StoredKey } from './repository.ts'
import { type Dated, type PublicJwk, signingKeyAt } from './signing-keys.ts'

/** A key in memory, as PEM. */
export interface HeldKey extends Dated {
  readonly publicJwk: PublicJwk
  readonly publicKey: string
  /** Undefined when neither secret decrypts it: the key only verifies. */
  readonly privateKey: string | undefined
}

/** Decrypts a stored key, and re-encrypts it under the current secret if only the previous one decrypts it. */
export async function holdKey(db: Db, secrets: SealingSecrets, stored: StoredKey): Promise<HeldKey> {
  const { kid, publicJwk, signsFrom, sealed } = stored
  const opened = unsealPrivateKey(sealed, kid, secrets)
  if (opened?.underPrevious) {
    await resealSigningKey(db, stored, sealPrivateKey(opened.privateKey, kid, secrets.secret))
  }
  const privateKey = opened && pemOf(opened.privateKey)
  return { kid, publicJwk, signsFrom, publicKey: publicPemOf(publicJwk), privateKey }
}

/** fast-jwt takes PEM and no key object. */
function pemOf(pkcs8: Buffer): string {
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

/**
 * Checks that the key that signs now and all later ones are decrypted.
 * @throws SigningKeyError
 */
export function assertReadable(keys: readonly HeldKey[], now: number): void {
  const from = (signingKeyAt(keys, now) ?? keys[0])?.signsFrom ?? 0
  const sealed = keys.find((key) => key.privateKey === undefined && key.signsFrom >= from)
  if (sealed) throw sealedUnderAnother(sealed.kid)
}
