import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { normalizeForwardedFor } from '../../src/http/forwarded.ts'

/**
 * Normalizes X-Forwarded-For for Fastify's `request.ip`, and warns once when a peer outside TRUST_PROXY sends it. Must be
 * registered before anything that reads the client's address.
 */
export default fp(
  async (app) => {
    let warned = false
    app.addHook('onRequest', (request, _reply, done) => {
      const { headers, socket } = request.raw
      const header = headers['x-forwarded-for']
      if (typeof header === 'string' && header.trim() !== '') {
        headers['x-forwarded-for'] = normalizeForwardedFor(header)
        if (!warned && !comesFromTrustedPeer(request)) {
          warned = true
          app.log.warn(
            `${socket.remoteAddress} sends X-Forwarded-For and TRUST_PROXY does not name it: ` +
              'its clients share one budget, as one address',
          )
        }
      }
      done()
    })
  },
  { name: 'latchkey-forwarding', fastify: '5.x' },
)

/** `ips` ends at the first untrusted address; without TRUST_PROXY it is undefined. */
function comesFromTrustedPeer({ ips }: FastifyRequest): boolean {
  return ips !== undefined && ips.length > 1
}
