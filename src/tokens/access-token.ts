import { randomBytes } from 'node:crypto'
import { checkExpiry, checkIssuedAt, checkNotBefore, clockSkew, hasAudience, isType } from './claims.ts'
import type { Issuer } from './issuers.ts'
import type { KeySource } from './key-source.ts'
import { TokenRefused } from './refusal.ts'
import { isUserId } from './user-id.ts'

/** RFC 9068 section 2.1: what an access token says of itself, so that no other kind passes for one. */
export const accessTokenType = 'at+jwt'

/** The issuer's side of a Latchkey's access tokens: what goes into them, and what must come back. */
export interface AccessTokenPolicy {
  /** The PUBLIC_URL of the service that issues them. */
  readonly issuer: string
  readonly audience: string
  /** Seconds from `iat` to `exp`: exactly for who issues, at the most for who only verifies. */
  readonly lifetime: number
}

/** RFC 9068 section 2.2. Never `email`: other services trust a token by that claim. */
export interface AccessTokenClaims extends Readonly<Record<string, unknown>> {
  readonly iss: string
  readonly aud: string
  readonly sub: string
  readonly sid: string
  readonly jti: string
  readonly iat: number
  readonly exp: number
}

/** @param now seconds since the epoch */
export function accessTokenClaims(
  policy: AccessTokenPolicy,
  { userId, sessionId, now }: { userId: string; sessionId: string; now: number },
): AccessTokenClaims {
  return {
    iss: policy.issuer,
    aud: policy.audience,
    sub: userId,
    sid: sessionId,
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: now + policy.lifetime,
  }
}

const sessionId = /^session_[0-7][0-9a-hjkmnp-tv-z]{25}$/

/** A Latchkey as the issuer of its own access tokens. */
export function latchkeyIssuer(policy: AccessTokenPolicy, keys: KeySource): Issuer {
  return {
    iss: policy.issuer,
    strict: true,
    keys,
    check(header, { aud, sub, sid, exp, nbf, iat }, now) {
      if (!isType(header['typ'], accessTokenType)) throw new TokenRefused('type')
      // A token made under a shared secret names no key; one that does is not a Latchkey's, or was tampered with.
      if (header['alg'] === 'HS256' && 'kid' in header) throw new TokenRefused('header')
      if (!hasAudience(aud, policy.audience)) throw new TokenRefused('audience')
      if (typeof sub !== 'string' || !isUserId(sub)) throw new TokenRefused('subject')
      if (typeof sid !== 'string' || !sessionId.test(sid)) throw new TokenRefused('session')
      const expiresAt = checkExpiry(exp, now)
      checkNotBefore(nbf, now)
      const issuedAt = checkIssuedAt(iat, now)
      // It lives as long as the policy says; one that claims more was not made by it.
      if (issuedAt < now - policy.lifetime - clockSkew || expiresAt > now + policy.lifetime + clockSkew) {
        throw new TokenRefused('issued_at')
      }
    },
    principalOf(claims) {
      const { sub, sid, iat, exp } = claims as unknown as AccessTokenClaims
      return { sub, userId: sub, issuer: undefined, sid, issuedAt: iat, expiresAt: exp }
    },
  }
}
