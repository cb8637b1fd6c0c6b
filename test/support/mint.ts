import {
  createHmac,
  createPrivateKey,
  createPublicKey,
  type JsonWebKey,
  type KeyObject,
  sign as rawSign,
  verify as rawVerify,
} from 'node:crypto'
import { secret } from '../helper.ts'

const issuer = 'http://latchkey.test'

/** Claims of a valid token. */
export function goodClaims(now = Math.floor(Date.now() / 1000)): Record<string, unknown> {
  return {
    iss: issuer,
    aud: issuer,
    sub: 'user_01kb3v5rs1e2wbhx4hrsz3zj5e',
    sid: 'session_01kb3v5rs1e2wbhx4hrsz3zj5f',
    jti: 'n0tRandom',
    iat: now,
    exp: now + 900,
  }
}

export const goodHeader = { alg: 'HS256', typ: 'at+jwt' }

export function encode(part: unknown): string {
  return Buffer.from(typeof part === 'string' ? part : (JSON.stringify(part) ?? '')).toString('base64url')
}

/** Signs any header and payload with HMAC. */
export function sign(
  header: unknown,
  claims: unknown,
  key: string | Buffer = secret,
  hash = 'sha256',
): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`
}

/** A valid token with changed header parameters and claims; `undefined` removes one. */
export function mint(header: Record<string, unknown> = {}, claims: Record<string, unknown> = {}): string {
  return sign({ ...goodHeader, ...header }, { ...goodClaims(), ...claims })
}

/** Signs any header and payload with a key pair (RFC 7518 section 3.4, RFC 8037). */
export function signWith(
  privateKey: string | KeyObject,
  header: Readonly<Record<string, unknown>>,
  claims: unknown,
  dsaEncoding: 'der' | 'ieee-p1363' = 'ieee-p1363',
): string {
  const input = `${encode(header)}.${encode(claims)}`
  const key = typeof privateKey === 'string' ? createPrivateKey(privateKey) : privateKey
  const digest = key.asymmetricKeyType === 'ed25519' ? null : 'sha256'
  return `${input}.${rawSign(digest, Buffer.from(input), { key, dsaEncoding }).toString('base64url')}`
}

/** Verifies a token by a JWKS with node:crypto only, as an independent verifier. */
export function verifiesWith(jwks: { keys: JsonWebKey[] }, token: string): boolean {
  const [header = '', claims = '', signature = ''] = token.split('.')
  const { alg, kid } = JSON.parse(Buffer.from(header, 'base64url').toString())
  const jwk = jwks.keys.find((key) => key['kid'] === kid)
  if (!jwk || jwk['alg'] !== alg) return false
  const key = createPublicKey({ key: jwk, format: 'jwk' })
  return rawVerify(
    key.asymmetricKeyType === 'ed25519' ? null : 'sha256',
    Buffer.from(`${header}.${claims}`),
    { key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  )
}
