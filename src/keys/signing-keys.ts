import { clockSkew } from '../tokens/claims.ts'

/** Algorithms of a key pair; HS256 has a shared secret instead, see keys.ts. */
export type KeyAlgorithm = 'EdDSA' | 'ES256' | 'RS256'

export type TokenAlgorithm = 'HS256' | KeyAlgorithm

/** A public key as the JWKS has it, RFC 7517 and RFC 8037. */
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

/** What the operator can mend about signing keys; the message is one line. */
export class SigningKeyError extends Error {
  override name = 'SigningKeyError'
}

/** A key's place in time, which is all that its state follows from: no instance has to tell another. */
export interface Dated {
  readonly kid: string
  /** Seconds since the epoch. */
  readonly signsFrom: number
}

export type KeyState = 'next' | 'signing' | 'verifying' | 'ended'

/** Seconds that a key is published before it signs: longer than any verifier caches the JWKS. */
export const rotationLead = 600

/** Seconds that every verifier may go on with the JWKS that it has. */
export const jwksMaxAge = 300

/** Seconds between two looks at the table. */
export const reloadInterval = 30

/** Beyond skew: an instance signs with the old key until it has seen the new one. */
const margin = 2 * reloadInterval

/**
 * When the key at `index` may be forgotten: its successor signs, and whatever it signed itself has expired.
 * @param keys in order of `signsFrom`
 */
export function endOf(keys: readonly Dated[], index: number, lifetime: number): number {
  const successor = keys[index + 1]
  return successor ? successor.signsFrom + lifetime + clockSkew + margin : Number.POSITIVE_INFINITY
}

/** The key that signs: the one with the greatest `signsFrom` that has come. Undefined while none has. */
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
