import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, toProblemBody } from '../../src/problem.ts'

/** How a route writes its problems. */
export interface ProblemFormat {
  readonly mediaType: string
  bodyOf(problem: Problem, requestId: string): { readonly detail: string }
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Of the errors of the route; RFC 9457 by default. */
    problemFormat?: ProblemFormat
  }
}

/** RFC 9457. */
export const problemJson: ProblemFormat = { mediaType: 'application/problem+json', bodyOf: toProblemBody }

/** Sends a problem, independent of the serializers and error handlers of the app. */
export function replyWithProblem(
  problem: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  request.problem = problem
  // Where no route was found, there is no config.
  const { mediaType, bodyOf } = request.routeOptions?.config?.problemFormat ?? problemJson
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type(`${mediaType}; charset=utf-8`)
    .serializer(JSON.stringify)
    .send(bodyOf(problem, request.id))
}
