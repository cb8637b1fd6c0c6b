import { createHash, createHmac, randomBytes } from 'node:crypto'
import { type DerivedKeys, derivedKeys } from '../keys/derived-keys.ts'

export const tokenPurposes = [
  'password_reset',
  'email_verification',
  'email_change',
  'email_change_undo',
] as const

/** What a token opens, and nothing else. */
export type TokenPurpose = (typeof tokenPurposes)[number]

/** What the database keeps of a token. */
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

/** SHA-256 of the token as it is presented: 256 random bits need no slower hash. */
export function hashToken(token: string): Buffer {
  return createHash('sha256').update(token).digest()
}

/** Draws a token of 256 bits. The token itself is told to nobody here: the mail makes it, by {@link mailedToken}. */
export function newToken({ current }: OneTimeKeys, purpose: TokenPurpose): StoredToken {
  const salt = randomBytes(saltBytes)
  return { purpose, salt, token_hash: hashToken(derive(current, purpose, salt)) }
}

/**
 * The token as the mail carries it, in base64url. Being computed and not kept, it is the same on every attempt, and
 * neither the outbox nor any other table holds it.
 * @returns undefined when it was made under neither key
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
