import fp from 'fastify-plugin'

/** An API's answers are data for one reader: not cached, not sniffed, not framed, not embedded, not a page. */
export const securityHeaders = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'strict-transport-security': 'max-age=31536000; includeSubDomains',
  'x-content-type-options': 'nosniff',
}

/** Fixed headers on every answer (OWASP REST Security Cheat Sheet). A route that serves something else sets its own. */
export default fp(
  async (app) => {
    app.addHook('onRequest', async (_request, reply) => {
      reply.headers(securityHeaders)
    })
  },
  { name: 'latchkey-security-headers', fastify: '5.x' },
)
