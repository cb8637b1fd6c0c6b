import dns from 'node:dns'
import { type AddressInfo, createServer, type Server } from 'node:net'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Listens on a host; on `localhost`, at each of its addresses. @returns the URL of the first */
    listenOn(place: { readonly host: string; readonly port: number }): Promise<string>
  }
}

/**
 * One server for all addresses. Fastify would make another one for the second address of `localhost`, without the
 * listeners and settings of the first: Node itself would answer malformed requests and CONNECT there.
 */
export default fp(
  async (app) => {
    const others: Server[] = []

    app.decorate('listenOn', async ({ host, port }) => {
      const [first = host, ...rest] = host === 'localhost' ? await addressesOf(host) : [host]
      const url = await app.listen({ host: first, port })
      const bound = (app.server.address() as AddressInfo).port
      for (const address of rest) {
        // The options of http.Server.
        const server = createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
          app.server.emit('connection', socket)
        })
        const failure = await listening(server, address, bound)
        if (failure) app.log.warn({ err: failure }, `cannot listen on ${address}, another address of ${host}`)
        else others.push(server)
      }
      return url
    })
    // After the drain of plugins/http/connections.ts.
    app.addHook('preClose', async () => {
      for (const server of others) server.close()
    })
  },
  { name: 'latchkey-addresses', fastify: '5.x', dependencies: ['latchkey-connections'] },
)

async function addressesOf(host: string): Promise<string[]> {
  const found = await new Promise<dns.LookupAddress[]>((resolve) => {
    dns.lookup(host, { all: true }, (error, addresses) => resolve(error ? [] : addresses))
  })
  return [...new Set(found.map(({ address }) => address))]
}

/** @returns the error, if it cannot listen */
function listening(server: Server, host: string, port: number): Promise<Error | undefined> {
  return new Promise((resolve) => {
    server.once('error', resolve)
    server.listen({ host, port }, () => {
      server.off('error', resolve)
      server.on('error', () => {})
      resolve(undefined)
    })
  })
}
