import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { traceIdOf } from '../../src/http/trace-context.ts'
import type { Problem, ProblemCode } from '../../src/problem.ts'

/** One line per request, with the route's pattern and not its URL: a path or query may contain secrets. */
export default fp(
  async (app) => {
    app.addHook('onRequest', (request, reply, done) => {
      reply.header('x-request-id', request.id)
      logWhenClosed(request, reply)
      done()
    })
  },
  { name: 'latchkey-request-log', fastify: '5.x' },
)

/** Problems written to a connection without a reply, until they are logged. */
const refusals = new WeakMap<Socket, Problem>()

interface RequestLine {
  readonly method: string
  readonly route: string | null
  readonly status: number | null
  readonly duration_ms: number
  aborted?: true
  trace_id?: string
  user_id?: string
  key_id?: string
  client_id?: string
  code?: ProblemCode
  reason?: string | undefined
}

/** Logs a request once: when it is answered, or when the client disconnects before. */
export function logWhenClosed(request: FastifyRequest, { raw }: FastifyReply): void {
  const begun = performance.now()
  const { metrics } = request.server
  let logged = false
  const log = (answered: boolean) => {
    if (logged) return
    logged = true
    const ended = performance.now()
    // The rest of its message was malformed or too slow.
    const refusal = request.raw.complete ? undefined : refusals.get(request.raw.socket)
    if (refusal) refusals.delete(request.raw.socket)
    // Makes an object each time.
    const { url, config } = request.routeOptions
    const line: RequestLine = {
      method: request.method,
      route: url ?? null,
      status: refusal?.status ?? (raw.headersSent ? raw.statusCode : null),
      duration_ms: Math.round((ended - begun) * 10) / 10,
    }
    if (!answered && !refusal) line.aborted = true
    const traceId = traceIdOf(request.headers['traceparent'])
    if (traceId) line.trace_id = traceId
    if (request.user) line.user_id = request.user.userId
    if (request.user?.keyId) line.key_id = request.user.keyId
    if (request.service) line.client_id = request.service.id
    const problem = refusal ?? request.problem
    if (problem) {
      line.code = problem.code
      line.reason = problem.reason
    }
    const { method, route, status } = line
    metrics?.countRequest({ method, route, status, seconds: (ended - begun) / 1000, problem })
    const isQuiet = config.health && answered && raw.statusCode < 400
    request.log[isQuiet ? 'debug' : 'info'](line, 'request')
  }
  // `once` would wrap each.
  raw.on('finish', () => log(true))
  raw.on('close', () => log(false))
}

/** Logs a message that was refused by the HTTP parser, unless it belongs to a request, which logs it itself. */
export function logRefusal(
  { log, metrics }: FastifyInstance,
  socket: Socket,
  problem: Problem,
  { id, method = null }: { readonly id: string; readonly method?: string | null },
): void {
  // An idle connection is no request.
  if (socket.bytesRead === 0) return
  refusals.set(socket, problem)
  socket.once('close', () => {
    if (!refusals.delete(socket)) return
    metrics?.countRequest({ method, route: null, status: problem.status, seconds: null, problem })
    log.info({ reqId: id, method, route: null, status: problem.status, code: problem.code }, 'request')
  })
}
