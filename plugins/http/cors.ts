import cors from '@fastify/cors'
import fp from 'fastify-plugin'
import { isAsking } from '../gateway/asking.ts'

/**
 * CORS for the configured origins, compared exactly. Without credentials: the token is in a header, not in a cookie.
 */
export default fp<{ readonly origins: readonly string[] }>(
  async (app, { origins }) => {
    if (origins.length === 0) return
    const allowed = new Set(origins)
    // Absent when RATE_LIMITS=off.
    const limit = app.hasDecorator('rateLimit') ? app.rateLimit() : undefined
    // Before the library's hook, which answers a preflight before the limit of any route.
    app.addHook('onRequest', async (request, reply) => {
      if (request.method === 'OPTIONS' && !isAsking(request)) await limit?.call(app, request, reply)
    })
    await app.register(cors, {
      origin: (origin, decide) => decide(null, origin !== undefined && allowed.has(origin) ? origin : false),
      // An OPTIONS that is not a preflight goes on to its route, or to 404.
      strictPreflight: false,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      // Request headers are not restricted: an allowed page may send what its libraries add (traceparent, baggage).
      exposedHeaders: [
        'allow',
        'etag',
        'link',
        'location',
        'ratelimit-limit',
        'ratelimit-remaining',
        'ratelimit-reset',
        'retry-after',
        'www-authenticate',
        'x-request-id',
      ],
      maxAge: 600,
    })
  },
  { name: 'latchkey-cors', fastify: '5.x', dependencies: ['latchkey-rate-limit'] },
)
