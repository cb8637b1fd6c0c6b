import { randomBytes } from 'node:crypto'
import type { AccessTokenPolicy } from '../tokens/access-token.ts'
import { clientSubject, type Service } from '../tokens/service.ts'

/** RFC 9068 section 2.2, of a client that acts for itself: no session, no user. */
export interface ClientTokenClaims extends Readonly<Record<string, unknown>> {
  readonly iss: string
  readonly aud: string
  readonly sub: string
  readonly client_id: string
  readonly scope: string
  readonly jti: string
  readonly iat: number
  readonly exp: number
}

/**
 * The claims of a new access token of a service client.
 * @param now seconds since the epoch
 */
export function clientTokenClaims(
  policy: AccessTokenPolicy,
  { id, scopes }: Service,
  now: number,
): ClientTokenClaims {
  return {
    iss: policy.issuer,
    aud: policy.audience,
    sub: clientSubject(id),
    client_id: clientSubject(id),
    scope: scopes.join(' '),
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: now + policy.lifetime,
  }
}
