import { randomBytes } from 'node:crypto'
import type { AccessTokenClaims, AccessTokenPolicy } from '../tokens/access-token.ts'

/** What a token says of its session. */
export interface AuthenticatedSession {
  readonly id: string
  /** RFC 3339. */
  readonly authenticated_at: string
  readonly second_factor: boolean
}

/**
 * The claims of a new access token.
 * @param now seconds since the epoch
 */
export function accessTokenClaims(
  policy: AccessTokenPolicy,
  { userId, session, now }: { userId: string; session: AuthenticatedSession; now: number },
): AccessTokenClaims {
  return {
    iss: policy.issuer,
    aud: policy.audience,
    sub: userId,
    sid: session.id,
    jti: randomBytes(16).toString('base64url'),
    iat: now,
    exp: now + policy.lifetime,
    auth_time: Math.floor(Date.parse(session.authenticated_at) / 1000),
    amr: session.second_factor ? ['pwd', 'otp'] : ['pwd'],
    acr: session.second_factor ? 'aal2' : 'aal1',
  }
}
