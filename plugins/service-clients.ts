import fp from 'fastify-plugin'
import { isBasic, parseBasic } from '../src/services/basic.ts'
import { type ServiceClient, ServiceClients } from '../src/services/clients.ts'
import type { ServiceCredentials } from './services.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly serviceClients: ServiceClients
    /** For the guard: HTTP Basic of the configured clients. */
    readonly serviceCredentials: ServiceCredentials
  }
}

/** `app.serviceClients`, those of the configuration. */
export default fp<{ readonly clients: readonly ServiceClient[] }>(
  async (app, { clients }) => {
    const known = new ServiceClients(clients)
    app.decorate('serviceClients', known)
    app.decorate('serviceCredentials', {
      claims: isBasic,
      verify(header) {
        const given = parseBasic(header)
        return given && known.verify(given.id, given.secret)
      },
      countFailure: (request) => request.countServiceFailure(),
    })
  },
  { name: 'latchkey-service-clients', fastify: '5.x', dependencies: ['latchkey-service-failures'] },
)
