import type { FastifyError, FastifyReply, FastifyRequest, FastifySchemaValidationError } from 'fastify'
import fp from 'fastify-plugin'
import { databaseReason, isDatabaseUnavailable } from '../../src/db/errors.ts'
import { type FieldError, Problem, type ProblemCode } from '../../src/problem.ts'
import { replyWithProblem } from './reply.ts'

/** Turns every error, of a handler, a hook, Fastify or a library, into a problem of the catalogue. */
export default fp(
  async (app) => {
    app.decorateRequest('problem', null)
    app.setErrorHandler(sendProblem)
  },
  { name: 'latchkey-errors', fastify: '5.x' },
)

export function sendProblem(error: unknown, request: FastifyRequest, reply: FastifyReply): void {
  const problem = toProblem(error)
  // Only a bug needs a stack; the request line has the reason of a 503.
  if (problem.status === 500) request.log.error({ err: error }, problem.message)
  replyWithProblem(problem, request, reply)
}

/** Error codes of Fastify that a client can cause. */
const codes: Record<string, ProblemCode> = {
  FST_ERR_CTP_INVALID_MEDIA_TYPE: 'unsupported_media_type',
  FST_ERR_CTP_BODY_TOO_LARGE: 'payload_too_large',
  FST_ERR_MAX_PARAM_LENGTH: 'uri_too_long',
  FST_ERR_BAD_URL: 'invalid_request',
}

function toProblem(error: unknown): Problem {
  if (error instanceof Problem) return error
  // Anything can be thrown, even null.
  const { code = '', statusCode, validation } = (error ?? {}) as Partial<FastifyError>
  if (validation) return new Problem('validation_failed', { errors: fieldErrors(validation) })
  const known = codes[code]
  if (known) return new Problem(known, { cause: error })
  if (isDatabaseUnavailable(error)) {
    return new Problem('service_unavailable', { cause: error, reason: databaseReason(error) })
  }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return new Problem('invalid_request', { cause: error, reason: code })
  }
  return new Problem('internal_error', { cause: error })
}

const maxFieldErrors = 20

export function fieldErrors(validation: readonly FastifySchemaValidationError[]): FieldError[] {
  return validation.slice(0, maxFieldErrors).map(({ keyword, instancePath, message, params }) => {
    const parts = instancePath.split('/').slice(1)
    if (keyword === 'required') parts.push(String(params['missingProperty']))
    // An unknown name is echoed only if it looks like a field's.
    const unknown = keyword === 'additionalProperties' ? String(params['additionalProperty']) : ''
    if (/^[A-Za-z_]\w{0,39}$/.test(unknown)) parts.push(unknown)
    return { path: parts.join('.') || 'body', message: messages[keyword] ?? message ?? 'is not valid' }
  })
}

/** Where Ajv's message would only help the author of the schema. */
const messages: Record<string, string> = {
  additionalProperties: 'is not a field of this request',
  required: 'is required',
  pattern: 'has characters or a form that is not accepted',
}
