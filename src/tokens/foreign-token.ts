import {
  authenticationOf,
  checkExpiry,
  checkIssuedAt,
  checkNotBefore,
  hasAudience,
  isType,
} from './claims.ts'
import type { Issuer } from './issuers.ts'
import type { KeySource } from './key-source.ts'
import type { Principal, Profile } from './owner.ts'
import { TokenRefused } from './refusal.ts'
import { looksMinted } from './user-id.ts'

/** The issuer name of users whose tokens have no `iss` and are signed with the shared secret. */
export const sharedSecretIssuer = 'shared-secret'

/** Why a text cannot be the name of a trusted issuer; undefined when it can. */
export function issuerWeakness(issuer: string): string | undefined {
  if (!/^\S+$/.test(issuer)) return 'must be the text that its tokens have in iss'
  if (issuer !== sharedSecretIssuer) return undefined
  return `must not be ${sharedSecretIssuer}: users of tokens without iss are stored under that name`
}

/** Required of every foreign token. */
export interface ForeignTokenPolicy {
  readonly audience: string
  /** Maximum of `exp - iat` in seconds: a revocation is kept no longer. */
  readonly longestLifetime: number
}

type Parameters = Readonly<Record<string, unknown>>

/**
 * Tokens without `iss` that are signed with the shared secret. A holder of the secret is fully trusted: `sub` may be any
 * user of this service. Other JWTs that a Better Auth signs with it (e-mail verification, session cache) have no `sub`.
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
      // RFC 7519 section 4.1.3: with an audience, it must be this one.
      if (claims['aud'] !== undefined && !hasAudience(claims['aud'], audience))
        throw new TokenRefused('audience')
      checkSubjectAndTimes(claims, now, longestLifetime)
    },
    principalOf: (claims) => foreignPrincipal(claims, sharedSecretIssuer, claims['sub'] as string),
  }
}

export interface TrustedIssuer {
  /** The exact `iss` of its tokens. */
  readonly issuer: string
  /** The required `aud`, which refuses its ID tokens and session caches. */
  readonly audience: string
}

/** An issuer with keys of its own. */
export interface JwksIssuer extends TrustedIssuer {
  /** Without it and without `secret`, the `jwks_uri` of the issuer's discovery document. */
  readonly jwksUrl?: string
  /** In place of key pairs: its tokens are signed with HS256 and this secret. */
  readonly secret?: string
  /** Accepted `alg` values of its key pairs; by default those of a Better Auth. */
  readonly algorithms?: readonly string[]
}

/** Tokens of an issuer with its own keys. */
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
      // Impersonation: it must not name a user of this service, in any case of letters.
      if (looksMinted(checkSubjectAndTimes(claims, now, longestLifetime))) throw new TokenRefused('subject')
    },
    principalOf: (claims) => foreignPrincipal(claims, issuer, `${issuer} ${claims['sub']}`),
  }
}

/** ASCII (OpenID Connect Core section 2), without a space, which separates issuer and subject in a user id. */
const subject = /^[\x21-\x7e]{1,255}$/

function checkSubjectAndTimes(
  { sub, client_id: clientId, exp, nbf, iat }: Parameters,
  now: number,
  longestLifetime: number,
): string {
  if (typeof sub !== 'string' || !subject.test(sub)) throw new TokenRefused('subject')
  // Without a user, `sub` is the client (RFC 9068 section 2.2).
  if (sub === clientId) throw new TokenRefused('service_token')
  const expiresAt = checkExpiry(exp, now)
  checkNotBefore(nbf, now)
  // Its whole lifetime, not the remaining one: a revocation is kept for longestLifetime from its time on.
  if (expiresAt - checkIssuedAt(iat, now) > longestLifetime) throw new TokenRefused('lifetime')
  return sub
}

function foreignPrincipal(claims: Parameters, issuer: string, userId: string): Principal {
  const { authTime, amr, acr } = authenticationOf(claims)
  return {
    sub: claims['sub'] as string,
    userId,
    issuer,
    sid: undefined,
    issuedAt: claims['iat'] as number | undefined,
    expiresAt: claims['exp'] as number,
    authTime,
    amr,
    acr,
    clientId: typeof claims['client_id'] === 'string' ? claims['client_id'] : undefined,
    profile: profileOf(claims),
  }
}

/** OpenID Connect Core section 5.1; Better Auth has `emailVerified`. */
function profileOf({ email, name, email_verified, emailVerified }: Parameters): Profile {
  return {
    email: typeof email === 'string' ? email : undefined,
    name: typeof name === 'string' ? name : undefined,
    emailVerified: email_verified === true || emailVerified === true,
  }
}
