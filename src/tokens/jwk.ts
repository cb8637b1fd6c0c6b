import { createPublicKey, type JsonWebKey } from 'node:crypto'

/** A public key of an issuer, ready to verify with. */
export interface VerificationKey {
  readonly kid: string
  /** SPKI. */
  readonly pem: string
  /** The `alg` values that it may verify. */
  readonly algorithms: readonly string[]
}

/** A key of a JWKS that is not used. The message contains nothing of the key. */
export class JwkRefused extends Error {
  override name = 'JwkRefused'
}

/** Key types (RFC 7518 section 6, RFC 8037 section 2) and the algorithms of each. */
const families: Readonly<Record<string, readonly string[]>> = {
  'OKP Ed25519': ['EdDSA'],
  'EC P-256': ['ES256'],
  'EC P-384': ['ES384'],
  'EC P-521': ['ES512'],
  RSA: ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512'],
}

/** The algorithms that a trusted issuer may use: signatures, never a MAC. */
export const signatureAlgorithms = Object.values(families).flat()

/**
 * Validates and imports a key of a JWKS (RFC 7517).
 * @param wanted `alg` values that its issuer may use
 * @throws JwkRefused
 */
export function importJwk(jwk: unknown, wanted: readonly string[]): VerificationKey {
  if (typeof jwk !== 'object' || jwk === null) throw new JwkRefused('is not a JWK')
  const { kid, kty, crv, x, y, n, e, alg, use, key_ops: operations, ...rest } = jwk as Record<string, unknown>
  if (typeof kid !== 'string' || kid === '' || kid.length > 256) throw new JwkRefused('has no kid')
  if ('d' in rest || kty === 'oct') throw new JwkRefused('is not a public key')
  if (use !== undefined && use !== 'sig') throw new JwkRefused('is not for signatures')
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes('verify'))) {
    throw new JwkRefused('is not for verifying')
  }
  const family = kty === 'RSA' ? 'RSA' : `${kty} ${crv}`
  const possible = (Object.hasOwn(families, family) && families[family]) || []
  const algorithms = possible.filter((name) => wanted.includes(name) && (alg === undefined || alg === name))
  if (algorithms.length === 0) throw new JwkRefused('is not of an algorithm that this issuer is trusted with')
  if (kty === 'RSA') assertStrong(n, e)
  return { kid, pem: toPem({ kty, crv, x, y, n, e } as JsonWebKey), algorithms }
}

function toPem(jwk: JsonWebKey): string {
  try {
    return createPublicKey({ key: jwk, format: 'jwk' }).export({ type: 'spki', format: 'pem' }).toString()
  } catch {
    throw new JwkRefused('is unreadable')
  }
}

/** At least 2048 bits (RFC 7518 section 3.3); above 8192, verifying costs enough for a denial of service. */
function assertStrong(n: unknown, e: unknown): void {
  const modulus = toInteger(n)
  const exponent = toInteger(e)
  const bits = modulus.toString(2).length
  if (bits < 2048 || bits > 8192) throw new JwkRefused('has a modulus of a length that is not accepted')
  if (exponent < 65_537n || exponent % 2n === 0n || exponent >= 1n << 32n) {
    throw new JwkRefused('has a public exponent that is not accepted')
  }
  if (isOfRocaForm(modulus)) throw new JwkRefused('can be factored (ROCA, CVE-2017-15361)')
}

function toInteger(text: unknown): bigint {
  if (typeof text !== 'string' || !/^[A-Za-z0-9_-]+$/.test(text)) throw new JwkRefused('is unreadable')
  return BigInt(`0x${Buffer.from(text, 'base64url').toString('hex') || '0'}`)
}

/** Primes modulo which the powers of 65537 are few. */
const marks = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157].map((prime) => {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * 65_537) % prime) powers.add(power)
  return { prime: BigInt(prime), powers }
})

/** The fingerprint of ROCA: Nemec et al., "The Return of Coppersmith's Attack" (2017), section 3.3. */
function isOfRocaForm(modulus: bigint): boolean {
  return marks.every(({ prime, powers }) => powers.has(Number(modulus % prime)))
}
