import type { JwksIssuer } from './foreign-token.ts'

/** What a Better Auth's JWT plugin can be told to sign with. */
export const betterAuthAlgorithms = ['EdDSA', 'ES256', 'ES512', 'RS256', 'PS256']

/**
 * The issuer that a Better Auth is without further settings: it signs for itself, under the origin of its base URL.
 * @throws TypeError when the URL is none
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
