import type { ServerResponse } from 'node:http'
import fp from 'fastify-plugin'

/**
 * Lets the process end as soon as it has answered: what is under way when it begins to drain is the last on its
 * connection, and says so. Otherwise a client would keep the connection, and with it the process, or send the next
 * request into a connection that is about to be cut.
 */
export default fp(
  async (app) => {
    const underWay = new Set<ServerResponse>()
    app.addHook('onRequest', async (_request, { raw }) => {
      underWay.add(raw)
      raw.once('close', () => underWay.delete(raw))
    })
    app.addHook('preClose', async () => {
      for (const response of underWay) response.shouldKeepAlive = false
    })
  },
  { name: 'latchkey-drain', fastify: '5.x' },
)
