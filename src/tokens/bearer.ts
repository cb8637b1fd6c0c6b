import { Problem } from '../problem.ts'
import { TokenRefused } from './refusal.ts'

/** `b64token` (RFC 6750 section 2.1) after the scheme, in any case, and at least one space. */
const credentials = /^bearer +([A-Za-z0-9._~+/-]+=*)$/i

interface Carriers {
  /** Every `Authorization` header of the request, in order. */
  readonly headers: readonly string[]
  /** A token in it is never accepted. */
  readonly query: Readonly<Record<string, unknown>>
}

/**
 * Reads the token from the Authorization header.
 * @throws TokenRefused missing, malformed
 * @throws Problem invalid_request when the request carries more than one, RFC 6750 section 2
 */
export function bearerToken({ headers, query }: Carriers): string {
  const [header, ...others] = headers
  if (header === undefined) throw new TokenRefused('missing')
  if (others.length > 0 || 'access_token' in query) {
    throw new Problem('invalid_request', {
      reason: 'several_tokens',
      headers: { 'www-authenticate': 'Bearer error="invalid_request"' },
    })
  }
  const token = credentials.exec(header)?.[1]
  if (token === undefined) throw new TokenRefused('malformed')
  return token
}
