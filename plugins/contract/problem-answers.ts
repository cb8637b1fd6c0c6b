import type { RouteOptions } from 'fastify'
import { Problem, type ProblemCode, statusOf } from '../../src/problem.ts'
import { oauthErrorOf } from '../problems/oauth.ts'
import { type ProblemFormat, problemJson } from '../problems/reply.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Codes of the handler itself; those of hooks and validation are added. */
    problems?: readonly ProblemCode[]
    /** Those of `problems` that the route answers with 409, whatever their status is elsewhere. */
    conflicts?: readonly ProblemCode[]
  }
}

const exampleRequestId = '5f0c1f0e-6c0a-4b8e-9d51-3a8c0e0f7f51'

/** Adds codes to a route, and its problem responses to the schema. */
export function documentProblems(route: RouteOptions, codes: readonly ProblemCode[]): void {
  const all = [...new Set([...(route.config?.problems ?? []), ...codes])]
  route.config = { ...route.config, problems: all } as NonNullable<RouteOptions['config']>
  const { problemFormat = problemJson } = route.config
  const conflicts = route.config.conflicts ?? []
  const statusHere = (code: ProblemCode) => (conflicts.includes(code) ? 409 : statusOf(code))
  const statuses = [...new Set(all.map(statusHere))].sort((a, b) => a - b)
  const answers = Object.fromEntries(
    statuses.map((status) => [
      status,
      problemAnswer(
        problemFormat,
        status,
        all.filter((code) => statusHere(code) === status),
      ),
    ]),
  )
  const response = (route.schema?.response ?? {}) as Record<string, unknown>
  route.schema = { ...route.schema, response: { ...response, ...answers } }
}

/** The response of one status, narrowed to the codes of this operation. */
function problemAnswer({ mediaType, bodyOf }: ProblemFormat, status: number, codes: readonly ProblemCode[]) {
  const [code = 'internal_error'] = codes
  const exampleOf = (code: ProblemCode) =>
    bodyOf(new Problem(code, status === 409 ? { status } : {}), exampleRequestId)
  const headers = headersOf(status, codes)
  return {
    description: codes.map((code) => `\`${code}\`: ${exampleOf(code).detail}`).join('; '),
    ...(headers ? { headers } : {}),
    content: {
      [mediaType]: {
        schema: mediaType === problemJson.mediaType ? problemSchema(codes) : oauthSchema(codes),
        examples: { [code]: { value: exampleOf(code) } },
      },
    },
  }
}

function problemSchema(codes: readonly ProblemCode[]) {
  const properties = { code: { type: 'string', enum: codes } }
  return { allOf: [{ $ref: 'Problem#' }, { type: 'object', properties }] }
}

function oauthSchema(codes: readonly ProblemCode[]) {
  const errors = [...new Set(codes.map((code) => oauthErrorOf({ code, status: statusOf(code) })))]
  const properties = { error: { type: 'string', enum: errors }, code: { type: 'string', enum: codes } }
  return { allOf: [{ $ref: 'OAuthError#' }, { type: 'object', properties }] }
}

function headersOf(status: number, codes: readonly ProblemCode[]) {
  if (status === 401) {
    const standard = codes.includes('invalid_client') ? 'RFC 7617 section 2' : 'RFC 6750 section 3'
    return { 'WWW-Authenticate': { type: 'string', description: `The challenge, ${standard}` } }
  }
  if (status === 409 || status === 429 || status === 503) {
    return { 'Retry-After': { type: 'integer', description: 'Seconds to wait before trying again' } }
  }
  return undefined
}
