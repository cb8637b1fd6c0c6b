import { randomBytes } from 'node:crypto'
import type { Principal } from './owner.ts'
import { TokenRefused } from './refusal.ts'

/** Tolerated difference between two machines' clocks, in seconds. */
export const clockSkew = 30

/** RFC 9068 section 2.1: what an access token says of itself, so that no other kind passes for one. */
export const accessTokenType = 'at+jwt'

/** The issuer's side of the tokens made here: what goes into them, and what must come back. */
export interface AccessTokenPolicy {
  readonly issuer: string
  readonly audience: string
  /** Seconds from `iat` to `exp`. */
  readonly lifetime: number
}

/** Claims of a token made here, RFC 9068 section 2.2. Never `email`: other services trust one by that claim. */
export interface AccessTokenClaims {
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

type Claims = Readonly<Record<string, unknown>>

const userId = /^user_[0-7][0-9a-hjkmnp-tv-z]{25}$/
const sessionId = /^session_[0-7][0-9a-hjkmnp-tv-z]{25}$/

/**
 * Holds a token against the policy of its issuer; the signature is someone else's work.
 * @param now seconds since the epoch
 * @throws TokenRefused
 */
export function checkAccessToken(
  policy: AccessTokenPolicy,
  header: Claims,
  claims: Claims,
  now: number,
): void {
  if (!isType(header['typ'], accessTokenType)) throw new TokenRefused('type')
  if (claims['iss'] !== policy.issuer) throw new TokenRefused('issuer')
  if (!hasAudience(claims['aud'], policy.audience)) throw new TokenRefused('audience')
  const { sub, sid } = claims
  if (typeof sub !== 'string' || !userId.test(sub)) throw new TokenRefused('subject')
  if (typeof sid !== 'string' || !sessionId.test(sid)) throw new TokenRefused('session')

  const expiresAt = checkExpiry(claims['exp'], now)
  checkNotBefore(claims['nbf'], now)
  const issuedAt = claims['iat']
  if (!isNumericDate(issuedAt) || issuedAt > now + clockSkew) throw new TokenRefused('issued_at')
  // A token of ours lives as long as the policy says; one that claims more was not made by it.
  if (issuedAt < now - policy.lifetime - clockSkew || expiresAt > now + policy.lifetime + clockSkew) {
    throw new TokenRefused('issued_at')
  }
}

/** Who a token speaks for, once {@link checkAccessToken} has passed it. */
export function principalOf({ sub, sid, iat, exp }: AccessTokenClaims): Principal {
  return { sub, sid, issuedAt: iat, expiresAt: exp }
}

/** Media types are case-insensitive and may drop `application/`, RFC 7515 section 4.1.9. */
function isType(typ: unknown, wanted: string): boolean {
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === wanted
}

/** RFC 7519 section 4.1.3. A list longer than any honest one is not searched. */
function hasAudience(aud: unknown, wanted: string): boolean {
  if (!Array.isArray(aud)) return aud === wanted
  return aud.length <= 16 && aud.every((entry) => typeof entry === 'string') && aud.includes(wanted)
}

/** Last second of the year 9999, the end of RFC 3339's range. */
const endOfTime = 253_402_300_799

/** NumericDate, RFC 7519 section 2, within the range that a date has. */
function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value <= endOfTime
}

function checkExpiry(exp: unknown, now: number): number {
  if (!isNumericDate(exp) || now >= exp + clockSkew) throw new TokenRefused('expired')
  return exp
}

function checkNotBefore(nbf: unknown, now: number): void {
  if (nbf !== undefined && (!isNumericDate(nbf) || nbf > now + clockSkew))
    throw new TokenRefused('not_yet_valid')
}
