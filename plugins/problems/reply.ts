import type { FastifyReply, FastifyRequest } from 'fastify'
import { type Problem, toProblemBody } from '../../src/problem.ts'

/** Answers with a problem, whatever serializers and error handlers the app has. */
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
