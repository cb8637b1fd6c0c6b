import { checkExpiry, checkIssuedAt, checkNotBefore, hasAudience, isType } from './claims.ts'
import type { Issuer } from './issuers.ts'
import type { KeySource } from './key-source.ts'
import type { Principal, Profile } from './owner.ts'
import { TokenRefused } from './refusal.ts'
import { looksMinted } from './user-id.ts'

/** The issuer of users whose tokens name none: who holds the shared secret. */
export const sharedSecretIssuer = 'shared-secret'

/** Why a text cannot be the name of a trusted issuer: its users would be those of another one. */
export function issuerWeakness(issuer: string): string | undefined {
  if (!/^\S+$/.test(issuer)) return 'must be the text that its tokens have in iss'
  if (issuer !== sharedSecretIssuer) return undefined
  return `must not be ${sharedSecretIssuer}: users of tokens without iss are stored under that name`
}

/** What is asked of every foreign token. */
export interface ForeignTokenPolicy {
  readonly audience: string
  /** Seconds from `iat` to `exp` at most: as long as its revocation is remembered. */
  readonly longestLifetime: number
}

type Parameters = Readonly<Record<string, unknown>>

/**
 * Tokens without `iss` that are signed with the shared secret. Who holds it is this service's equal: a `sub` may name
 * any user here. Other texts that a Better Auth signs with the same secret (e-mail verification, session cache) have
 * no `sub`.
 */
export function sharedSecretTokens(
  keys: KeySource,
  { audience, longestLifetime }: ForeignTokenPolicy,
): Issuer {
  return {
    iss: undefined,
    keys,
    check(header, claims, now) {
      if (header['typ'] !== undefined && !isType(header['typ'], 'jwt')) throw new TokenRefused('type')
      // RFC 7519 section 4.1.3: a token that says who it is for is not for anyone else.
      if (claims['aud'] !== undefined && !hasAudience(claims['aud'], audience))
        throw new TokenRefused('audience')
      checkSubjectAndTimes(claims, now, longestLifetime)
    },
    principalOf: (claims) => foreignPrincipal(claims, sharedSecretIssuer, claims['sub'] as string),
  }
}

/** Whose tokens {@link trustedIssuer} accepts. */
export interface TrustedIssuer {
  /** Exactly as its tokens have it in `iss`. */
  readonly issuer: string
  /** What its tokens must have in `aud`: the check that refuses its ID tokens and session caches. */
  readonly audience: string
}

/** An issuer whose public keys are at a URL. */
export interface JwksIssuer extends TrustedIssuer {
  readonly jwksUrl: string
  /** `alg` values that it is trusted with; those that a Better Auth can have, unless said. */
  readonly algorithms?: readonly string[]
}

/** Tokens of an issuer that signs with keys of its own. */
export function trustedIssuer(
  { issuer, audience, longestLifetime }: TrustedIssuer & ForeignTokenPolicy,
  keys: KeySource,
): Issuer {
  return {
    iss: issuer,
    keys,
    check(header, claims, now) {
      const { typ } = header
      if (typ !== undefined && !isType(typ, 'jwt') && !isType(typ, 'at+jwt')) throw new TokenRefused('type')
      if (!hasAudience(claims['aud'], audience)) throw new TokenRefused('audience')
      // It must not speak of our users, in whatever spelling.
      if (looksMinted(checkSubjectAndTimes(claims, now, longestLifetime))) throw new TokenRefused('subject')
    },
    principalOf: (claims) => foreignPrincipal(claims, issuer, `${issuer} ${claims['sub']}`),
  }
}

/** ASCII, as OpenID Connect Core section 2 has it; no space, which parts issuer and subject in a user id. */
const subject = /^[\x21-\x7e]{1,255}$/

function checkSubjectAndTimes(
  { sub, exp, nbf, iat }: Parameters,
  now: number,
  longestLifetime: number,
): string {
  if (typeof sub !== 'string' || !subject.test(sub)) throw new TokenRefused('subject')
  const expiresAt = checkExpiry(exp, now)
  checkNotBefore(nbf, now)
  // By its whole life and not by what is left of it: a logout is forgotten while less than that is left.
  if (expiresAt - checkIssuedAt(iat, now) > longestLifetime) throw new TokenRefused('lifetime')
  return sub
}

function foreignPrincipal(claims: Parameters, issuer: string, userId: string): Principal {
  return {
    sub: claims['sub'] as string,
    userId,
    issuer,
    sid: undefined,
    issuedAt: claims['iat'] as number | undefined,
    expiresAt: claims['exp'] as number,
    profile: profileOf(claims),
  }
}

/** OpenID Connect Core section 5.1, and Better Auth's own spelling of `email_verified`. */
function profileOf({ email, name, email_verified, emailVerified }: Parameters): Profile {
  return {
    email: typeof email === 'string' ? email : undefined,
    name: typeof name === 'string' ? name : undefined,
    emailVerified: email_verified === true || emailVerified === true,
  }
}
