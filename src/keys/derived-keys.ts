import { hkdfSync } from 'node:crypto'

/** What a key is derived for. A new name makes everything invalid that was made under the old one. */
type Purpose =
  | 'refresh token'
  | 'one-time token'
  | 'mfa token'
  | 'idempotency'
  | 'rate limit'
  | 'signing key encryption'
  | 'second factor encryption'
  | 'audit seal'

/** `current` makes MACs and ciphertexts, both verify and decrypt, so that SECRET_KEY can change without a logout. */
export interface DerivedKeys {
  readonly current: Buffer
  readonly previous: Buffer | undefined
}

/**
 * Derives a 256-bit key of its own for each purpose (HKDF-SHA-256, RFC 5869): domain separation, so that no MAC, token
 * or ciphertext of one purpose is valid for another. No salt: SECRET_KEY is random already.
 */
export function derivedKeys(secret: string, previous: string | undefined, purpose: Purpose): DerivedKeys {
  const derive = (key: string) => Buffer.from(hkdfSync('sha256', key, '', `latchkey ${purpose}`, 32))
  return { current: derive(secret), previous: previous === undefined ? undefined : derive(previous) }
}
