import type { Socket } from 'node:net'
import fp from 'fastify-plugin'

/**
 * Closes idle connections, except where a request has arrived that was not read yet. Timers run before sockets are read,
 * so under load Node's own timeout resets requests that a gateway has sent in time.
 */
export default fp(
  async (app) => {
    // With a listener, Node does not destroy the socket itself.
    app.server.on('timeout', (socket: Socket) => {
      const { bytesRead } = socket
      // Sockets have been read by then.
      setImmediate(() => {
        if (socket.bytesRead === bytesRead) socket.destroy()
      })
    })
  },
  { name: 'latchkey-keep-alive', fastify: '5.x' },
)
