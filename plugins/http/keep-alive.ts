import type { Socket } from 'node:net'
import fp from 'fastify-plugin'

/**
 * Ends idle connections, but not under a request that has arrived and was not read yet: timers run before sockets are
 * read, so on a busy process Node's own timeout resets what a gateway has sent in time.
 */
export default fp(
  async (app) => {
    // With a listener, Node leaves it to that.
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
