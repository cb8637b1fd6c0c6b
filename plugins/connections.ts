import type { ServerResponse } from 'node:http'
import fp from 'fastify-plugin'

/** Milliseconds in which an answer has to be taken. */
const slowestReader = 55_000

/** Milliseconds between two looks for readers that are slower. */
const interval = 5_000

/**
 * Lets no answer hold a connection for good. What is under way when the process begins to drain is the last on its
 * connection, and says so: otherwise a client would keep the connection, and with it the process, or send the next
 * request into a connection that is about to be cut. And a client that does not take its answer is cut off.
 */
export default fp(
  async (app) => {
    /** Answers, and since when each is waiting to be taken. */
    const underWay = new Map<ServerResponse, number>()
    app.addHook('onRequest', async (_request, { raw }) => {
      underWay.set(raw, Number.POSITIVE_INFINITY)
      raw.once('close', () => underWay.delete(raw))
    })
    app.addHook('preClose', async () => {
      for (const response of underWay.keys()) response.shouldKeepAlive = false
    })

    const timer = setInterval(() => {
      const now = performance.now()
      for (const [response, since] of underWay) {
        if (since === Number.POSITIVE_INFINITY && response.writableEnded) underWay.set(response, now)
        else if (now - since > slowestReader) response.destroy()
      }
    }, interval).unref()
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'latchkey-connections', fastify: '5.x' },
)
