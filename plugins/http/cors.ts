import cors from '@fastify/cors'
import fp from 'fastify-plugin'

/**
 * Lets pages of the origins that were configured read answers (Fetch standard, section 3.3), and no others: the origin
 * has to be the same to the letter. Without credentials: a browser sends its token by a header, not by a cookie.
 */
export default fp<{ readonly origins: readonly string[] }>(
  async (app, { origins }) => {
    // Nothing to vary by while nobody is let in.
    if (origins.length === 0) return
    const allowed = new Set(origins)
    // Absent when RATE_LIMITS=off.
    const limit = app.hasDecorator('rateLimit') ? app.rateLimit() : undefined
    // Before the library's hook, which answers a preflight before any route's own limit.
    app.addHook('onRequest', async (request, reply) => {
      if (request.method === 'OPTIONS') await limit?.call(app, request, reply)
    })
    await app.register(cors, {
      origin: (origin, decide) => decide(null, origin !== undefined && allowed.has(origin) ? origin : false),
      // A page may ask; what is not a preflight goes on to its route, or to the answer that there is none.
      strictPreflight: false,
      methods: ['GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE'],
      // No list of request headers: a page that may call at all may send what its libraries add (traceparent, baggage),
      // and the preflight is answered with those that it asks for. None of them has a meaning here that a program
      // outside a browser could not give it.
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
