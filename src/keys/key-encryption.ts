import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import { derivedKeys } from './derived-keys.ts'
import { SigningKeyError } from './signing-keys.ts'

/** What private keys are encrypted under, and what they were encrypted under before. */
export interface SealingSecrets {
  readonly secret: string
  readonly previousSecret: string | undefined
}

const nonceLength = 12
const tagLength = 16
const purpose = 'signing key encryption'

/**
 * Encrypts a private key for the database, so that read access to the database does not suffice to sign. AES-256-GCM
 * with a random nonce; the kid is associated data, so that one row's ciphertext is invalid in another.
 */
export function sealPrivateKey(privateKey: Buffer, kid: string, secret: string): string {
  const { current } = derivedKeys(secret, undefined, purpose)
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv('aes-256-gcm', current, nonce).setAAD(Buffer.from(kid))
  const ciphertext = Buffer.concat([cipher.update(privateKey), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]).toString('base64url')
}

/** The private key, or undefined when neither secret decrypts it or it was tampered with. */
export function unsealPrivateKey(
  sealed: string,
  kid: string,
  { secret, previousSecret }: SealingSecrets,
): { readonly privateKey: Buffer; readonly underPrevious: boolean } | undefined {
  const keys = derivedKeys(secret, previousSecret, purpose)
  const current = decrypt(sealed, kid, keys.current)
  if (current) return { privateKey: current, underPrevious: false }
  const previous = keys.previous && decrypt(sealed, kid, keys.previous)
  return previous && { privateKey: previous, underPrevious: true }
}

function decrypt(sealed: string, kid: string, key: Buffer): Buffer | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  const nonce = bytes.subarray(0, nonceLength)
  const tag = bytes.subarray(nonceLength, nonceLength + tagLength)
  try {
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
    decipher.setAAD(Buffer.from(kid)).setAuthTag(tag)
    return Buffer.concat([decipher.update(bytes.subarray(nonceLength + tagLength)), decipher.final()])
  } catch {
    return undefined
  }
}

/** For a key that neither secret decrypts. */
export function sealedUnderAnother(kid: string): SigningKeyError {
  return new SigningKeyError(
    `signing key ${kid} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one`,
  )
}
