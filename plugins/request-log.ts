import fp from 'fastify-plugin'

/** One line a request: the route's pattern and not its URL, since a path or query may hold what no log should. */
export default fp(
  async (app) => {
    app.addHook('onRequest', async (request, reply) => {
      reply.header('x-request-id', request.id)
    })
    app.addHook('onResponse', async (request, reply) => {
      request.log.info(
        {
          method: request.method,
          route: request.routeOptions.url ?? null,
          status: reply.statusCode,
          duration_ms: Math.round(reply.elapsedTime * 10) / 10,
          ...(request.user ? { user_id: request.user.userId } : {}),
          ...(request.problem ? { code: request.problem.code, reason: request.problem.reason } : {}),
        },
        'request',
      )
    })
  },
  { name: 'latchkey-request-log', fastify: '5.x' },
)
