import { createHash, createPublicKey, generateKeyPair, type JsonWebKey, type KeyObject } from 'node:crypto'
import { promisify } from 'node:util'
import type { KeyAlgorithm, PublicJwk } from './signing-keys.ts'

/** Not generateKeyPairSync: while Node 20 exports such a key as JWK, a collection of garbage can deadlock the process. */
const generate = promisify(generateKeyPair)

const makers: Record<KeyAlgorithm, () => Promise<{ publicKey: KeyObject; privateKey: KeyObject }>> = {
  EdDSA: () => generate('ed25519', {}),
  ES256: () => generate('ec', { namedCurve: 'P-256' }),
  RS256: () => generate('rsa', { modulusLength: 3072 }),
}

/** The required members in the order of the thumbprint (RFC 7638 section 3, RFC 8037). */
const requiredMembers: Record<KeyAlgorithm, readonly (keyof JsonWebKey)[]> = {
  EdDSA: ['crv', 'kty', 'x'],
  ES256: ['crv', 'kty', 'x', 'y'],
  RS256: ['e', 'kty', 'n'],
}

export interface KeyPair {
  readonly publicJwk: PublicJwk
  /** PKCS#8, DER. */
  readonly privateKey: Buffer
}

export async function makeKeyPair(algorithm: KeyAlgorithm): Promise<KeyPair> {
  const { publicKey, privateKey } = await makers[algorithm]()
  return {
    publicJwk: publicJwkOf(publicKey, algorithm),
    privateKey: privateKey.export({ type: 'pkcs8', format: 'der' }),
  }
}

/** An allowlist of members, so that no private one is published. */
export function publicJwkOf(key: KeyObject, algorithm: KeyAlgorithm): PublicJwk {
  const jwk = key.export({ format: 'jwk' })
  const members = Object.fromEntries(requiredMembers[algorithm].map((name) => [name, jwk[name]]))
  const kid = createHash('sha256').update(JSON.stringify(members)).digest('base64url')
  return { ...(members as { kty: string }), alg: algorithm, use: 'sig', kid }
}

/** fast-jwt takes PEM and no JWK. */
export function publicPemOf(jwk: PublicJwk): string {
  const key = createPublicKey({ key: { ...jwk }, format: 'jwk' })
  return key.export({ type: 'spki', format: 'pem' }) as string
}
