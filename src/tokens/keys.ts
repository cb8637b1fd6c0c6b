import { createHmac, timingSafeEqual } from 'node:crypto'
import type { UnverifiedToken } from './jws.ts'
import { TokenRefused } from './refusal.ts'

/** The HS256 secrets: one signs, both verify, so that a secret can change without a logout. */
export interface SharedKeys {
  readonly current: string
  readonly previous: string | undefined
}

/**
 * The secret to verify a token with.
 * @throws TokenRefused algorithm, header
 */
export function verifyingKey({ current, previous }: SharedKeys, token: UnverifiedToken): string {
  if (token.header['alg'] !== 'HS256') throw new TokenRefused('algorithm')
  // A token made here under a shared secret names no key; one that does is not ours, or was tampered with.
  if ('kid' in token.header) throw new TokenRefused('header')
  return previous !== undefined && !signs(current, token) ? previous : current
}

function signs(secret: string, { compact }: UnverifiedToken): boolean {
  const end = compact.lastIndexOf('.')
  const mac = createHmac('sha256', secret).update(compact.slice(0, end)).digest()
  const signature = Buffer.from(compact.slice(end + 1), 'base64url')
  return signature.length === mac.length && timingSafeEqual(signature, mac)
}
