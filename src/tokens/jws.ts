import { parseUnambiguousJson } from '../http/strict-json.ts'
import { TokenRefused } from './refusal.ts'

/** A token's parts as its sender wrote them; nothing here is verified yet. */
export interface UnverifiedToken {
  readonly compact: string
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** Whether the claims hold anything that a request body may not. */
  readonly looseClaims?: boolean
}

/** Longest token looked at. Ours have some 400 bytes; a frontend's may carry a whole user. */
const maxLength = 8_192

/** Header parameters that change what the signature means; none is understood here, so none may be there. */
const uncommonParameters = ['crit', 'b64', 'zip', 'enc']

/**
 * Reads a JWS compact serialization of a JSON object, RFC 7515 section 7.1, with no leniency: one spelling for
 * each token, so that nothing in front of this service can read it as another one.
 * @throws TokenRefused malformed, header
 */
export function parseToken(compact: string): UnverifiedToken {
  const segments = compact.length <= maxLength ? compact.split('.') : []
  const [header, claims, signature] = segments.map(decodeSegment)
  if (segments.length !== 3 || !header || !claims || !signature?.length) throw new TokenRefused('malformed')
  const { object: parameters, strict: isStrictHeader } = parseObject(header)
  if (!isStrictHeader) throw new TokenRefused('malformed')
  const { object, strict } = parseObject(claims)
  if (uncommonParameters.some((name) => name in parameters)) throw new TokenRefused('header')
  return { compact, header: parameters, claims: object, looseClaims: !strict }
}

/** base64url without padding and without stray bits in the last character, RFC 4648 section 3.5. */
function decodeSegment(segment: string): Buffer | undefined {
  const bytes = Buffer.from(segment, 'base64url')
  return bytes.toString('base64url') === segment ? bytes : undefined
}

function parseObject(bytes: Buffer): { object: Record<string, unknown>; strict: boolean } {
  let parsed: ReturnType<typeof parseUnambiguousJson>
  try {
    parsed = parseUnambiguousJson(bytes)
  } catch {
    throw new TokenRefused('malformed')
  }
  const { value, fault } = parsed
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new TokenRefused('malformed')
  return { object: value as Record<string, unknown>, strict: fault === undefined }
}
