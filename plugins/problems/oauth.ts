import type { Problem, ProblemCode } from '../../src/problem.ts'
import type { ProblemFormat } from './reply.ts'

/** The values of `error`: those of RFC 6749 sections 4.1.2.1 and 5.2, and of RFC 6750 section 3.1. */
export const oauthErrors = [
  'invalid_request',
  'invalid_client',
  'invalid_scope',
  'unsupported_grant_type',
  'insufficient_scope',
  'temporarily_unavailable',
  'server_error',
] as const

export type OAuthErrorName = (typeof oauthErrors)[number]

/** The wire form of an error of /oauth, RFC 6749 section 5.2, and what every error of the service has. */
export interface OAuthErrorBody {
  readonly error: OAuthErrorName
  readonly error_description: string
  readonly code: ProblemCode
  readonly detail: string
  readonly status: number
  readonly request_id: string
}

export function oauthErrorOf({ code, status }: Pick<Problem, 'code' | 'status'>): OAuthErrorName {
  const same = oauthErrors.find((name) => name === code)
  if (same) return same
  if (status === 429 || status === 503) return 'temporarily_unavailable'
  return status >= 500 ? 'server_error' : 'invalid_request'
}

function describe({ code, message, errors = [] }: Problem): string {
  const detail =
    code === 'unsupported_media_type'
      ? 'The request body must be application/x-www-form-urlencoded in UTF-8'
      : message
  const faults = errors.map(({ path, message }) => `${path} ${message}`)
  return faults.length === 0 ? detail : `${detail}: ${faults.join(', ')}`
}

/** Errors of /oauth, for OAuth libraries and for clients of the rest of the service. */
export const oauthJson: ProblemFormat = {
  mediaType: 'application/json',
  bodyOf(problem, requestId): OAuthErrorBody {
    const detail = describe(problem)
    return {
      error: oauthErrorOf(problem),
      error_description: detail,
      code: problem.code,
      detail,
      status: problem.status,
      request_id: requestId,
    }
  },
}
