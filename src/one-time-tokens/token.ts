import { createHash, createHmac, randomBytes } from 'node:crypto'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'

export const tokenPurposes = [
  'password_reset',
  'email_verification',
  'email_change',
  'email_change_undo',
] as const

export type TokenPurpose = (typeof tokenPurposes)[number]

/** What the database stores of a token. */
export interface StoredToken {
  readonly purpose: TokenPurpose
  readonly salt: Uint8Array
  readonly token_hash: Uint8Array
}

const saltBytes = 32

export type OneTimeKeys = DerivedKeys

export function oneTimeKeys(secret: string, previous: string | undefined): OneTimeKeys {
  return derivedKeys(secret, previous, 'one-time token')
}

/** SHA-256 suffices: the token has 256 bits of entropy. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** A token of 256 bits, without the token itself: only {@link mailedToken} computes it, for the mail. */
export function newToken({ current }: OneTimeKeys, purpose: TokenPurpose): StoredToken {
  const salt = randomBytes(saltBytes)
  return { purpose, salt, token_hash: hashToken(derive(current, purpose, salt)) }
}

/**
 * The token in base64url. It is computed for each attempt to send and never stored.
 * @returns undefined when neither key made it
 */
export function mailedToken({ current, previous }: OneTimeKeys, stored: StoredToken): string | undefined {
  return [current, previous]
    .filter((key) => key !== undefined)
    .map((key) => derive(key, stored.purpose, stored.salt))
    .find((token) => hashToken(token).equals(stored.token_hash))
}

function derive(key: Buffer, purpose: TokenPurpose, salt: Uint8Array): string {
  return createHmac('sha256', key).update(`${purpose}\0`).update(salt).digest('base64url')
}
