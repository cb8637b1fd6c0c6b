import type { JwksIssuer } from './foreign-token.ts'

/** The algorithms that Better Auth's JWT plugin can be configured with. */
export const betterAuthAlgorithms = ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256']

/**
 * A Better Auth with the default settings: issuer and audience are the origin of its base URL.
 * @throws TypeError when the URL is invalid
 */
export function betterAuthIssuer(url: string): JwksIssuer {
  const { origin } = new URL(url)
  return {
    issuer: origin,
    audience: origin,
    jwksUrl: `${origin}/api/auth/jwks`,
    algorithms: betterAuthAlgorithms,
  }
}
