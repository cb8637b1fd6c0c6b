import type { OutgoingHttpHeaders } from 'node:http'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** For a response for which no hook runs. */
    readonly securityHeaders: OutgoingHttpHeaders
  }
}

const fixed = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/**
 * Fixed headers on every response (OWASP REST Security Cheat Sheet); a route may override them.
 * @param hsts value of Strict-Transport-Security, which browsers ignore over http (RFC 6797 section 8.1)
 */
export default fp<{ readonly hsts?: string | undefined }>(
  async (app, { hsts }) => {
    const headers = { ...fixed, ...(hsts === undefined ? {} : { 'strict-transport-security': hsts }) }
    app.decorate('securityHeaders', headers)
    app.addHook('onRequest', (_request, reply, done) => {
      reply.headers(headers)
      done()
    })
  },
  { name: 'latchkey-security-headers', fastify: '5.x' },
)
