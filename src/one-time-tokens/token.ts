import { createHash, createHmac, hkdfSync, randomBytes } from 'node:crypto'

export const tokenPurposes = [
  'password_reset',
  'email_verification',
  'email_change',
  'email_change_undo',
] as const

export type TokenPurpose = (typeof tokenPurposes)[number]

/** Keys of the MAC: one makes tokens, both are tried when a mail is retried. */
export interface OneTimeKeys {
  readonly current: Buffer
  readonly previous: Buffer | undefined
}

/** What the database stores of a token. */
export interface StoredToken {
  readonly purpose: TokenPurpose
  readonly salt: Uint8Array
  readonly token_hash: Uint8Array
}

const keyBytes = 32
const saltBytes = 32

export function oneTimeKeys(secret: string, previous: string | undefined): OneTimeKeys {
  // Key separation by HKDF (RFC 5869): no other MAC under SECRET_KEY is ever a one-time token.
  const derive = (key: string) =>
    Buffer.from(hkdfSync('sha256', key, '', 'latchkey one-time token', keyBytes))
  return { current: derive(secret), previous: previous === undefined ? undefined : derive(previous) }
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
