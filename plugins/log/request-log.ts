import type { Socket } from 'node:net'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { traceIdOf } from '../../src/http/trace-context.ts'
import type { Problem } from '../../src/problem.ts'
import { healthOf } from '../health.ts'

/** One line per request, with the route's pattern and not its URL: a path or query may contain secrets. */
export default fp(
  async (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id)
      logWhenClosed(request, reply)
    })
  },
  { name: 'latchkey-request-log', fastify: '5.x' },
)

/** Problems written to a connection without a reply, until they are logged. */
const refusals = new WeakMap<Socket, Problem>()

/** Logs a request once: when it is answered, or when the client disconnects before. */
export function logWhenClosed(request: FastifyRequest, { raw }: FastifyReply): void {
  const begun = performance.now()
  let logged = false
  const log = (answered: boolean) => {
    if (logged) return
    logged = true
    // The rest of its message was malformed or too slow.
    const refusal = request.raw.complete ? undefined : refusals.get(request.raw.socket)
    if (refusal) refusals.delete(request.raw.socket)
    const problem = refusal ?? request.problem
    const traceId = traceIdOf(request.headers['traceparent'])
    const isQuiet = healthOf(request) && answered && raw.statusCode < 400
    request.log[isQuiet ? 'debug' : 'info'](
      {
        method: request.method,
        route: request.routeOptions.url ?? null,
        status: refusal?.status ?? (raw.headersSent ? raw.statusCode : null),
        duration_ms: Math.round((performance.now() - begun) * 10) / 10,
        ...(answered || refusal ? {} : { aborted: true }),
        ...(traceId ? { trace_id: traceId } : {}),
        ...(request.user ? { user_id: request.user.userId } : {}),
        ...(request.user?.keyId ? { key_id: request.user.keyId } : {}),
        ...(request.service ? { client_id: request.service.id } : {}),
        ...(problem ? { code: problem.code, reason: problem.reason } : {}),
      },
      'request',
    )
  }
  raw.once('finish', () => log(true))
  raw.once('close', () => log(false))
}

/** Logs a message that was refused by the HTTP parser, unless it belongs to a request, which logs it itself. */
export function logRefusal(
  { log }: FastifyInstance,
  socket: Socket,
  problem: Problem,
  { id, method = null }: { readonly id: string; readonly method?: string | null },
): void {
  // An idle connection is no request.
  if (socket.bytesRead === 0) return
  refusals.set(socket, problem)
  socket.once('close', () => {
    if (!refusals.delete(socket)) return
    log.info({ reqId: id, method, route: null, status: problem.status, code: problem.code }, 'request')
  })
}
