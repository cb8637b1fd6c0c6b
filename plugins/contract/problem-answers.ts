import type { RouteOptions } from 'fastify'
import { detailOf, Problem, type ProblemCode, statusOf, toProblemBody } from '../../src/problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Codes of the handler itself; those of hooks and validation are added. */
    problems?: readonly ProblemCode[]
  }
}

const exampleRequestId = '5f0c1f0e-6c0a-4b8e-9d51-3a8c0e0f7f51'

/** Adds codes to a route, and its problem responses to the schema. */
export function documentProblems(route: RouteOptions, codes: readonly ProblemCode[]): void {
  const all = [...new Set([...(route.config?.problems ?? []), ...codes])]
  route.config = { ...route.config, problems: all } as NonNullable<RouteOptions['config']>
  const statuses = [...new Set(all.map(statusOf))].sort((a, b) => a - b)
  const answers = Object.fromEntries(
    statuses.map((status) => [
      status,
      problemAnswer(
        status,
        all.filter((code) => statusOf(code) === status),
      ),
    ]),
  )
  const response = (route.schema?.response ?? {}) as Record<string, unknown>
  route.schema = { ...route.schema, response: { ...response, ...answers } }
}

/** The response of one status, narrowed to the codes of this operation. */
function problemAnswer(status: number, codes: readonly ProblemCode[]) {
  const [code = 'internal_error'] = codes
  return {
    description: codes.map((code) => `\`${code}\`: ${detailOf(code)}`).join('; '),
    ...(headersOf(status) ? { headers: headersOf(status) } : {}),
    content: {
      'application/problem+json': {
        schema: {
          allOf: [
            { $ref: 'Problem#' },
            { type: 'object', properties: { code: { type: 'string', enum: codes } } },
          ],
        },
        examples: { [code]: { value: toProblemBody(new Problem(code), exampleRequestId) } },
      },
    },
  }
}

function headersOf(status: number) {
  if (status === 401) {
    return { 'WWW-Authenticate': { type: 'string', description: 'The challenge, RFC 6750 section 3' } }
  }
  if (status === 409 || status === 429 || status === 503) {
    return { 'Retry-After': { type: 'integer', description: 'Seconds to wait before trying again' } }
  }
  return undefined
}
