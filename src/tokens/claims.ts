import type { Principal } from './owner.ts'
import { TokenRefused } from './refusal.ts'

/** Tolerated clock skew, in seconds. */
export const clockSkew = 30

/** Media types are case-insensitive and may drop `application/`, RFC 7515 section 4.1.9. */
export function isType(typ: unknown, wanted: string): boolean {
  return typeof typ === 'string' && typ.toLowerCase().replace(/^application\//, '') === wanted
}

/** RFC 7519 section 4.1.3. A list of more than 16 entries is refused. */
export function hasAudience(aud: unknown, wanted: string): boolean {
  if (!Array.isArray(aud)) return aud === wanted
  return aud.length <= 16 && aud.every((entry) => typeof entry === 'string') && aud.includes(wanted)
}

/** The last second that RFC 3339 can express, in the year 9999. */
const endOfTime = 253_402_300_799

/** NumericDate (RFC 7519 section 2) that RFC 3339 can express. */
export function isNumericDate(value: unknown): value is number {
  return typeof value === 'number' && value > 0 && value <= endOfTime
}

/** @throws TokenRefused expired */
export function checkExpiry(exp: unknown, now: number): number {
  if (!isNumericDate(exp) || now >= exp + clockSkew) throw new TokenRefused('expired')
  return exp
}

/** @throws TokenRefused not_yet_valid */
export function checkNotBefore(nbf: unknown, now: number): void {
  if (nbf !== undefined && (!isNumericDate(nbf) || nbf > now + clockSkew))
    throw new TokenRefused('not_yet_valid')
}

/** @throws TokenRefused issued_at */
export function checkIssuedAt(iat: unknown, now: number): number {
  if (!isNumericDate(iat) || iat > now + clockSkew) throw new TokenRefused('issued_at')
  return iat
}

/** `auth_time`, `amr` and `acr` (OpenID Connect Core section 2); one of another type is as good as none. */
export function authenticationOf({
  auth_time: authTime,
  amr,
  acr,
}: Readonly<Record<string, unknown>>): Pick<Principal, 'authTime' | 'amr' | 'acr'> {
  return {
    authTime: isNumericDate(authTime) ? authTime : undefined,
    amr: Array.isArray(amr) && amr.every((entry) => typeof entry === 'string') ? amr : undefined,
    acr: typeof acr === 'string' ? acr : undefined,
  }
}
