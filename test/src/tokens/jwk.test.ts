import type { JsonWebKey } from 'node:crypto'
import t from 'tap'
import { importJwk, signatureAlgorithms } from '../../../src/tokens/jwk.ts'
import { keyPair } from '../../support/key-pair.ts'

const publicJwk = ({ publicKey }: ReturnType<typeof keyPair>) => publicKey.export({ format: 'jwk' })

const rsa = publicJwk(keyPair('rsa', { modulusLength: 2048 }))
const ec = (namedCurve: string) => publicJwk(keyPair('ec', { namedCurve }))
const ed25519 = keyPair('ed25519')

/** The algorithms that a key may verify, or why it is refused. */
function verdict(jwk: unknown, wanted: readonly string[] = signatureAlgorithms): string {
  try {
    return importJwk(jwk, wanted).algorithms.join(' ')
  } catch (error) {
    return (error as Error).message
  }
}

t.test('each type of key verifies its own algorithms', async (t) => {
  const kinds: [JsonWebKey, string][] = [
    [publicJwk(ed25519), 'EdDSA'],
    [ec('P-256'), 'ES256'],
    [ec('P-384'), 'ES384'],
    [ec('P-521'), 'ES512'],
    [rsa, 'RS256 RS384 RS512 PS256 PS384 PS512'],
  ]
  for (const [jwk, algorithms] of kinds) {
    t.equal(verdict({ ...jwk, kid: 'k' }), algorithms)
    const [alg] = algorithms.split(' ')
    t.equal(verdict({ ...jwk, kid: 'k', alg, use: 'sig', key_ops: ['verify'] }), alg)
    t.match(importJwk({ ...jwk, kid: 'k' }, signatureAlgorithms), { kid: 'k', pem: /^-----BEGIN PUBLIC KEY/ })
  }
  t.equal(
    verdict({ ...rsa, kid: 'k' }, ['EdDSA', 'PS256']),
    'PS256',
    'only algorithms that the issuer is trusted with',
  )
})

t.test('a key that is weak, private or for another use is refused (A08)', async (t) => {
  const notTrusted = 'is not of an algorithm that this issuer is trusted with'
  const integer = (value: bigint) =>
    Buffer.from(
      value.toString(16).padStart(2 * Math.ceil(value.toString(16).length / 2), '0'),
      'hex',
    ).toString('base64url')
  // ROCA (CVE-2017-15361): a modulus k * M + (65537 ** a mod M), M a product of the first primes.
  const primes = [
    2n,
    3n,
    5n,
    7n,
    11n,
    13n,
    17n,
    19n,
    23n,
    29n,
    31n,
    37n,
    41n,
    43n,
    47n,
    53n,
    59n,
    61n,
    67n,
    71n,
  ]
  primes.push(73n, 79n, 83n, 89n, 97n, 101n, 103n, 107n, 109n, 113n, 127n, 131n, 137n, 139n, 149n, 151n, 157n)
  const product = primes.reduce((a, b) => a * b)
  const roca = ((1n << 2047n) / product) * product + product + (65_537n ** 31n % product)
  const table: Record<string, [unknown, string]> = {
    'not an object': ['key', 'is not a JWK'],
    null: [null, 'is not a JWK'],
    'no kid': [rsa, 'has no kid'],
    'kid of another type': [{ ...rsa, kid: 7 }, 'has no kid'],
    'private member': [{ ...ed25519.privateKey.export({ format: 'jwk' }), kid: 'k' }, 'is not a public key'],
    oct: [{ kty: 'oct', k: 'c2VjcmV0', kid: 'k' }, 'is not a public key'],
    'use enc': [{ ...rsa, kid: 'k', use: 'enc' }, 'is not for signatures'],
    'key_ops without verify': [{ ...rsa, kid: 'k', key_ops: ['encrypt'] }, 'is not for verifying'],
    'key_ops no list': [{ ...rsa, kid: 'k', key_ops: 'verify' }, 'is not for verifying'],
    'P-256 algorithm, P-384 key': [{ ...ec('P-384'), kid: 'k', alg: 'ES256' }, notTrusted],
    secp256k1: [{ ...ec('secp256k1'), kid: 'k', alg: 'ES256' }, notTrusted],
    'HMAC algorithm': [{ ...rsa, kid: 'k', alg: 'HS256' }, notTrusted],
    'kty of the prototype': [{ kty: '__proto__', kid: 'k' }, notTrusted],
    X25519: [{ ...publicJwk(keyPair('x25519')), kid: 'k' }, notTrusted],
    'point off the curve': [{ ...ec('P-256'), kid: 'k', y: 'AAAA' }, 'is unreadable'],
    'modulus that is no text': [{ ...rsa, kid: 'k', n: 7 }, 'is unreadable'],
    'RSA-1024': [
      { ...publicJwk(keyPair('rsa', { modulusLength: 1024 })), kid: 'k' },
      'has a modulus of a length that is not accepted',
    ],
    'e=1': [{ ...rsa, kid: 'k', e: 'AQ' }, 'has a public exponent that is not accepted'],
    'e=3': [{ ...rsa, kid: 'k', e: 'Aw' }, 'has a public exponent that is not accepted'],
    'even e': [{ ...rsa, kid: 'k', e: 'AQAC' }, 'has a public exponent that is not accepted'],
    ROCA: [{ kty: 'RSA', n: integer(roca), e: 'AQAB', kid: 'k' }, 'can be factored (ROCA, CVE-2017-15361)'],
  }
  for (const [label, [jwk, reason]] of Object.entries(table)) t.equal(verdict(jwk), reason, label)
})
