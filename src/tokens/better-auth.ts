import type { JwksIssuer } from './foreign-token.ts'

/** The algorithms that Better Auth's JWT plugin can be configured with. */
export const betterAuthAlgorithms = ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256']

/**
 * A Better Auth with the default settings: issuer and audience are the origin of its base URL.
 * @param secret BETTER_AUTH_SECRET, where a signing function of its own makes HS256 tokens
 * @throws TypeError when the URL is invalid
 */
export function betterAuthIssuer(url: string, secret?: string): JwksIssuer {
  const { origin } = new URL(url)
  return {
    issuer: origin,
    audience: origin,
    jwksUrl: `${origin}/api/auth/jwks`,
    algorithms: betterAuthAlgorithms,
    ...(secret === undefined ? {} : { secret }),
  }
}
