import { createCipheriv, createDecipheriv, hkdfSync, randomBytes } from 'node:crypto'
import { SigningKeyError } from './signing-keys.ts'

/** What private keys are sealed under, and what they were sealed under before. */
export interface SealingSecrets {
  readonly secret: string
  readonly previousSecret: string | undefined
}

const nonceLength = 12
const tagLength = 16

/**
 * Encrypts a private key for the database under a key that is derived from the secret: who has only the database
 * cannot sign. AES-256-GCM with a random nonce; the kid is bound in, so that no row passes for another.
 */
export function sealPrivateKey(privateKey: Buffer, kid: string, secret: string): string {
  const nonce = randomBytes(nonceLength)
  const cipher = createCipheriv('aes-256-gcm', encryptionKey(secret), nonce).setAAD(Buffer.from(kid))
  const ciphertext = Buffer.concat([cipher.update(privateKey), cipher.final()])
  return Buffer.concat([nonce, cipher.getAuthTag(), ciphertext]).toString('base64url')
}

/** The private key, or undefined when it was sealed under neither secret or was tampered with. */
export function unsealPrivateKey(
  sealed: string,
  kid: string,
  { secret, previousSecret }: SealingSecrets,
): { readonly privateKey: Buffer; readonly underPrevious: boolean } | undefined {
  const current = decrypt(sealed, kid, secret)
  if (current) return { privateKey: current, underPrevious: false }
  const previous = previousSecret === undefined ? undefined : decrypt(sealed, kid, previousSecret)
  return previous && { privateKey: previous, underPrevious: true }
}

function decrypt(sealed: string, kid: string, secret: string): Buffer | undefined {
  const bytes = Buffer.from(sealed, 'base64url')
  const nonce = bytes.subarray(0, nonceLength)
  const tag = bytes.subarray(nonceLength, nonceLength + tagLength)
  try {
    const key = encryptionKey(secret)
    const decipher = createDecipheriv('aes-256-gcm', key, nonce, { authTagLength: tagLength })
    decipher.setAAD(Buffer.from(kid)).setAuthTag(tag)
    return Buffer.concat([decipher.update(bytes.subarray(nonceLength + tagLength)), decipher.final()])
  } catch {
    return undefined
  }
}

/** For a key that neither secret opens. */
export function sealedUnderAnother(kid: string): SigningKeyError {
  return new SigningKeyError(
    `signing key ${kid} was encrypted under another SECRET_KEY; set SECRET_KEY_PREVIOUS to that one`,
  )
}

function encryptionKey(secret: string): Buffer {
  return Buffer.from(hkdfSync('sha256', secret, '', 'latchkey signing key encryption', 32))
}
