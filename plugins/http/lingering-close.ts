import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { announcesBody, isAsking } from '../gateway/asking.ts'

/** Limits for reading and dropping the rest of a refused message. */
const lingerMs = 1_000
const maxDroppedBytes = 8 * 2 ** 20

/**
 * Closes a connection without losing the response (nginx: lingering_close). A close with unread data makes the kernel
 * send a reset, which overtakes the response: a gateway that still writes the body turns a 413 into a 502.
 */
export function closeLingering(socket: Socket): void {
  socket.end()
  // The rest must not be parsed as a request.
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

/** Lingers where a response is sent before the body has arrived. */
export default fp<{ bodyLimit: number }>(
  async (app, { bodyLimit }) => {
    /** Connections whose last response is being written. */
    const closing = new WeakSet<Socket>()
    // The body may arrive while that is written, and what is pipelined behind it would be parsed as a request.
    app.addHook('onRequest', (request, reply, done) => {
      const { raw } = request
      if (closing.has(raw.socket)) {
        reply.hijack()
        return
      }
      if (isAsking(request) && announcesBody(raw)) {
        reply.raw.shouldKeepAlive = false
        closing.add(raw.socket)
      }
      done()
    })
    // Before Fastify's handler, so that it applies to every response: of a hook, a handler, or 404.
    app.server.prependListener('request', (request: IncomingMessage, response: ServerResponse) => {
      const length = request.headers['content-length']
      const chunked = request.headers['transfer-encoding'] !== undefined
      if (!chunked && (length === undefined || length === '0')) return

      const { writeHead } = response
      response.writeHead = ((...args: Parameters<typeof writeHead>) => {
        // A short body arrives soon; a long one would have to be read to its end to keep the connection.
        if (!request.complete && (chunked || Number(length) > bodyLimit)) {
          response.shouldKeepAlive = false
          closing.add(request.socket)
        }
        return writeHead.apply(response, args)
      }) as typeof writeHead
      // Before Node's listener, which closes the connection.
      response.prependOnceListener('finish', () => {
        const { socket } = request
        if (!request.complete || closing.has(socket)) socket.destroySoon = () => closeLingering(socket)
      })
    })
  },
  { name: 'latchkey-lingering-close', fastify: '5.x' },
)
