import { createHmac } from 'node:crypto'
import { secret } from '../helper.ts'

const issuer = 'http://latchkey.test'

/** Claims of a good token, as of now. */
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

/** Signs any two texts, whatever they say of themselves. */
export function sign(
  header: unknown,
  claims: unknown,
  key: string | Buffer = secret,
  hash = 'sha256',
): string {
  const input = `${encode(header)}.${encode(claims)}`
  return `${input}.${createHmac(hash, key).update(input).digest('base64url')}`
}

/** A token that is good but for the header parameters and claims given. `undefined` removes one. */
export function mint(header: Record<string, unknown> = {}, claims: Record<string, unknown> = {}): string {
  return sign({ ...goodHeader, ...header }, { ...goodClaims(), ...claims })
}
