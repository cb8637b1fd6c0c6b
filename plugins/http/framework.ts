import { randomUUID } from 'node:crypto'
import { STATUS_CODES } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem, type ProblemCode, toProblemBody } from '../../src/problem.ts'
import { logRefusal, logWhenClosed } from '../log/request-log.ts'
import { sendProblem } from '../problems/errors.ts'
import { closeLingering } from './lingering-close.ts'

/** For Fastify's `frameworkErrors`: an invalid URL ends the request before any hook runs. */
export function sendFrameworkProblem(error: Error, request: FastifyRequest, reply: FastifyReply): void {
  logWhenClosed(request, reply)
  reply.headers({ ...request.server.securityHeaders, 'x-request-id': request.id })
  sendProblem(error, request, reply)
}

const codes: Record<string, ProblemCode> = {
  HPE_HEADER_OVERFLOW: 'headers_too_large',
  ERR_HTTP_REQUEST_TIMEOUT: 'request_timeout',
}

/** For Fastify's `clientErrorHandler`: answers malformed HTTP with a problem, and closes the connection. */
export function refuseUnparsable(app: FastifyInstance, error: NodeJS.ErrnoException, socket: Socket): void {
  if (error.code === 'ECONNRESET' || !socket.writable) {
    socket.destroy()
    return
  }
  endWith(app, socket, new Problem(codes[error.code ?? ''] ?? 'invalid_request'))
}

/** Writes a problem to a connection without a reply, and closes it. */
export function endWith(app: FastifyInstance, socket: Socket, problem: Problem, method?: string): void {
  const id = randomUUID()
  logRefusal(app, socket, problem, { id, ...(method === undefined ? {} : { method }) })
  const body = JSON.stringify(toProblemBody(problem, id))
  const head = [
    `HTTP/1.1 ${problem.status} ${STATUS_CODES[problem.status]}`,
    'content-type: application/problem+json; charset=utf-8',
    `content-length: ${Buffer.byteLength(body)}`,
    ...Object.entries({ ...app.securityHeaders, ...problem.headers }).map(
      ([name, value]) => `${name}: ${value}`,
    ),
    'connection: close',
  ]
  socket.write(`${head.join('\r\n')}\r\n\r\n${body}`)
  closeLingering(socket)
}
