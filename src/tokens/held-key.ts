import { createPrivateKey } from 'node:crypto'
import { sealPrivateKey, unsealPrivateKey } from './key-encryption.ts'
import { publicPemOf } from './key-pair.ts'
import type { KeyStore } from './key-rotation.ts'
import { type Dated, type PublicJwk, SigningKeyError, signingKeyAt } from './signing-keys.ts'
import { resealSigningKey, type StoredKey } from './signing-keys-repository.ts'

/** A key in memory, as PEM. */
export interface HeldKey extends Dated {
  readonly publicJwk: PublicJwk
  readonly publicKey: string
  /** Undefined when it was sealed under a secret that this process does not have: the key verifies only. */
  readonly privateKey: string | undefined
}

interface Secrets extends Pick<KeyStore, 'db' | 'secret'> {
  /** What the secret was before; a key sealed under it is sealed anew. */
  readonly previousSecret: string | undefined
}

export async function holdKey(secrets: Secrets, stored: StoredKey): Promise<HeldKey> {
  const { kid, publicJwk, signsFrom } = stored
  const privateKey = await unseal(secrets, stored)
  return { kid, publicJwk, signsFrom, publicKey: publicPemOf(publicJwk), privateKey }
}

async function unseal({ db, secret, previousSecret }: Secrets, stored: StoredKey) {
  const { kid, sealed } = stored
  let pkcs8 = unsealPrivateKey(sealed, kid, secret)
  if (!pkcs8 && previousSecret !== undefined) {
    pkcs8 = unsealPrivateKey(sealed, kid, previousSecret)
    // The previous secret is about to go away; the key must not go with it.
    if (pkcs8) await resealSigningKey(db, stored, sealPrivateKey(pkcs8, kid, secret))
  }
  if (!pkcs8) return undefined
  const key = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' })
  return key.export({ type: 'pkcs8', format: 'pem' }) as string
}

/**
 * Makes sure that the key which signs can, and those that will sign too.
 * @throws SigningKeyError
 */
export function assertReadable(keys: readonly HeldKey[], now: number): void {
  const from = (signingKeyAt(keys, now) ?? keys[0])?.signsFrom ?? 0
  const sealed = keys.find((key) => key.privateKey === undefined && key.signsFrom >= from)
  if (!sealed) return
  throw new SigningKeyError(
    `signing key ${sealed.kid} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one`,
  )
}
