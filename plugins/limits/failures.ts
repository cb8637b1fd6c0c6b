import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { clientKey } from '../../src/limits/address.ts'
import { rateLimited } from '../../src/limits/refusal.ts'
import { clientAddress } from './client-address.ts'

declare module 'fastify' {
  interface FastifyRequest {
    /**
     * Counts a failed authentication of a service client against the address of the request.
     * @throws Problem rate_limited
     */
    countServiceFailure(): Promise<void>
  }
}

/** `request.countServiceFailure()`: a client that authenticates is one address for all of its users, and has no limit. */
export default fp<{ readonly byAddress: boolean }>(
  async (app, { byAddress }) => {
    app.decorateRequest('countServiceFailure', async function (this: FastifyRequest) {
      if (!byAddress) return
      const counter = { limit: 'service', key: clientKey(clientAddress(this)) } as const
      const [count] = await app.counters.take([counter])
      if (!count?.refused) return
      const { limit, key: ip } = counter
      if (app.firstTimes.isFirst(counter))
        this.services.securityEvents.note({ event: 'rate_limit_reached', ip, limit })
      throw rateLimited(counter, count)
    })
  },
  {
    name: 'latchkey-service-failures',
    fastify: '5.x',
    dependencies: ['latchkey-rate-limit', 'latchkey-security-events'],
  },
)
