import type { OutgoingHttpHeaders } from 'node:http'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** For an answer that no hook runs for. */
    readonly securityHeaders: OutgoingHttpHeaders
  }
}

/** An API's answers are data for one reader: not cached, not sniffed, not framed, not embedded, not a page. */
const fixed = {
  'cache-control': 'no-store',
  'content-security-policy': "default-src 'none'; frame-ancestors 'none'",
  'cross-origin-resource-policy': 'same-origin',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
}

/**
 * Fixed headers on every answer (OWASP REST Security Cheat Sheet). A route that serves something else sets its own.
 * `hsts` is the value of Strict-Transport-Security, which browsers heed over https only (RFC 6797 section 8.1).
 */
export default fp<{ readonly hsts?: string | undefined }>(
  async (app, { hsts }) => {
    const headers = { ...fixed, ...(hsts === undefined ? {} : { 'strict-transport-security': hsts }) }
    app.decorate('securityHeaders', headers)
    app.addHook('onRequest', async (_request, reply) => {
      reply.headers(headers)
    })
  },
  { name: 'latchkey-security-headers', fastify: '5.x' },
)
