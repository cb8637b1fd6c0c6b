import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'

/** For so long, and so many bytes, the rest of a refused message is read and dropped. */
const lingerMs = 1_000
const maxDroppedBytes = 8 * 2 ** 20

/**
 * Closes a connection without losing the answer on it (nginx: lingering_close). A close with unread data makes the
 * kernel send a reset, which overtakes the answer: a gateway that still writes the body makes a 502 of a 413.
 */
export function closeLingering(socket: Socket): void {
  socket.end()
  // What follows is no request: Node's parser must not see it.
  socket.removeAllListeners('data')
  let dropped = 0
  socket.on('data', (chunk: Buffer) => {
    dropped += chunk.length
    if (dropped > maxDroppedBytes) socket.destroy()
  })
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), lingerMs).unref()
  socket.once('close', () => clearTimeout(timer))
}

/** Where an answer goes out before the body came in, and is the last on its connection, lingers over the close. */
export default fp<{ bodyLimit: number }>(
  async (app, { bodyLimit }) => {
    // Before Fastify's handler, and whatever answers: a hook, a handler that reads no body, or a URL without a route.
    app.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      const length = request.headers['content-length']
      const chunked = request.headers['transfer-encoding'] !== undefined
      if (!chunked && (length === undefined || length === '0')) return

      const { writeHead } = response
      response.writeHead = ((...args: Parameters<typeof writeHead>) => {
        // A short body is soon there; a long one that nobody wants would be read to its end on a connection that stays.
        if (!request.complete && (chunked || Number(length) > bodyLimit)) response.shouldKeepAlive = false
        return writeHead.apply(response, args)
      }) as typeof writeHead
      // Before Node's own listener, which closes the connection.
      response.prependOnceListener('finish', () => {
        const { socket } = request
        if (!request.complete) socket.destroySoon = () => closeLingering(socket)
      })
    })
  },
  { name: 'latchkey-lingering-close', fastify: '5.x' },
)
