import { createHmac, createPublicKey, type JsonWebKey, timingSafeEqual, verify } from 'node:crypto'

export interface Claims {
  readonly sub: string
}

/** The minimal checks of a token: signature, audience, issuer and expiry. */
export function tokenCheck({ SECRET_KEY = '', JWK, ISSUER }: NodeJS.ProcessEnv) {
  const publicKey = JWK ? createPublicKey({ key: JSON.parse(JWK) as JsonWebKey, format: 'jwk' }) : undefined
  const verified = new Map<string, { sub: string; exp: number }>()

  function signs(signed: string, signature: Buffer): boolean {
    if (publicKey) return verify(null, Buffer.from(signed), publicKey, signature)
    const mac = createHmac('sha256', SECRET_KEY).update(signed).digest()
    return mac.length === signature.length && timingSafeEqual(mac, signature)
  }

  function read(token: string) {
    const end = token.lastIndexOf('.')
    const signed = token.slice(0, end)
    if (!signs(signed, Buffer.from(token.slice(end + 1), 'base64url'))) return undefined
    const claims = JSON.parse(Buffer.from(signed.split('.')[1] ?? '', 'base64url').toString())
    return claims.iss === ISSUER && claims.aud === ISSUER ? claims : undefined
  }

  return (authorization: string | undefined): Claims | undefined => {
    const token = authorization?.slice('Bearer '.length) ?? ''
    const claims = verified.get(token) ?? read(token)
    if (!claims || claims.exp * 1000 < Date.now()) return undefined
    // A signature by a key pair costs enough to remember it.
    if (publicKey) verified.set(token, claims)
    return claims
  }
}

export function signToken(secret: string, claims: object): string {
  const encode = (part: object) => Buffer.from(JSON.stringify(part)).toString('base64url')
  const signed = `${encode({ alg: 'HS256', typ: 'at+jwt' })}.${encode(claims)}`
  return `${signed}.${createHmac('sha256', secret).update(signed).digest('base64url')}`
}
