import { randomBytes } from 'node:crypto'
import type { AccessTokenClaims, AccessTokenPolicy } from '../tokens/access-token.ts'

/**
 * The claims of a new access token.
 * @param now seconds since the epoch
 */
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
