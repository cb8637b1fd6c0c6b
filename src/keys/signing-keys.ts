import { clockSkew } from '../tokens/claims.ts'

/** Algorithms with a key pair; HS256 has the shared secret. */
export type KeyAlgorithm = 'EdDSA' | 'ES256' | 'RS256'

export type TokenAlgorithm = 'HS256' | KeyAlgorithm

/** A public key of the JWKS (RFC 7517, RFC 8037). */
export interface PublicJwk {
  readonly kty: string
  readonly kid: string
  readonly alg: KeyAlgorithm
  readonly use: 'sig'
  readonly crv?: string
  readonly x?: string
  readonly y?: string
  readonly n?: string
  readonly e?: string
}

/** A fault of signing keys that the operator can fix; the message is one line. */
export class SigningKeyError extends Error {
  override name = 'SigningKeyError'
}

/** The state of a key follows from its time alone, so that instances need not coordinate. */
export interface Dated {
  readonly kid: string
  /** Seconds since the epoch. */
  readonly signsFrom: number
}

export type KeyState = 'next' | 'signing' | 'verifying' | 'ended'

/** Seconds from publication to signing: longer than any verifier caches the JWKS. */
export const rotationLead = 600

/** `max-age` of the JWKS, in seconds. */
export const jwksMaxAge = 300

/** Seconds between two reloads of the table. */
export const reloadInterval = 30

/** In addition to clock skew: an instance signs with the old key until its next reload. */
const margin = 2 * reloadInterval

/**
 * When the key at `index` may be deleted: its successor signs, and every token that it signed has expired.
 * @param keys in order of `signsFrom`
 */
export function endOf(keys: readonly Dated[], index: number, lifetime: number): number {
  const successor = keys[index + 1]
  return successor ? successor.signsFrom + lifetime + clockSkew + margin : Number.POSITIVE_INFINITY
}

/** The key that signs: the latest with a `signsFrom` in the past, if any. */
export function signingKeyAt<T extends Dated>(keys: readonly T[], now: number): T | undefined {
  return keys.findLast((key) => key.signsFrom <= now)
}

export function stateOf(keys: readonly Dated[], index: number, lifetime: number, now: number): KeyState {
  const key = keys[index]
  if (!key || endOf(keys, index, lifetime) <= now) return 'ended'
  if (key.signsFrom > now) return 'next'
  return key === signingKeyAt(keys, now) ? 'signing' : 'verifying'
}

/** Whether the newest key is older than `rotationDays`; 0 never rotates. */
export function rotationIsDue(keys: readonly Dated[], rotationDays: number, now: number): boolean {
  const newest = keys.at(-1)
  return rotationDays > 0 && newest !== undefined && newest.signsFrom + rotationDays * 86_400 <= now
}
