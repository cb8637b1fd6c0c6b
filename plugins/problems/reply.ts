import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, toProblemBody } from '../../src/problem.ts'

/** Sends a problem, independent of the serializers and error handlers of the app. */
export function replyWithProblem(
  problem: Problem,
  request: FastifyRequest,
  reply: FastifyReply,
): FastifyReply {
  request.problem = problem
  return reply
    .code(problem.status)
    .headers(problem.headers)
    .type('application/problem+json; charset=utf-8')
    .serializer(JSON.stringify)
    .send(toProblemBody(problem, request.id))
}
