import { parseUnambiguousJson } from '../http/strict-json.ts'
import { TokenRefused } from './refusal.ts'

/** A parsed token, not verified yet. */
export interface UnverifiedToken {
  readonly compact: string
  readonly header: Readonly<Record<string, unknown>>
  readonly claims: Readonly<Record<string, unknown>>
  /** Whether the claims are looser JSON than a request body may be. */
  readonly looseClaims?: boolean
}

/** Longest token that is parsed. Ours have about 400 bytes; a frontend's may contain a whole user. */
const maxLength = 8_192

/** Header parameters that change the meaning of the signature: not supported, so refused. */
const uncommonParameters = ['crit', 'b64', 'zip', 'enc']

/**
 * Parses a JWS compact serialization of a JSON object (RFC 7515 section 7.1) strictly: one spelling for each token, so
 * that no gateway parses it differently.
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

/** Canonical base64url: no padding, no stray bits in the last character (RFC 4648 section 3.5). */
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
