import type { IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { Problem } from '../src/problem.ts'
import { headerValues } from '../src/raw-headers.ts'
import { endWith } from './framework-errors.ts'

/** What RFC 9110 section 4.1 asks every recipient to take. */
const maxUrlLength = 8_000

/**
 * Refuses what Node's parser lets through though a gateway may read it as something else, and ends the connection:
 * what follows on it may not be what it seems.
 */
export default fp(
  async (app) => {
    app.addHook('onRequest', async ({ raw }) => {
      const reason = ambiguityOf(raw)
      if (reason) throw new Problem('invalid_request', { reason, headers: { connection: 'close' } })
      if ((raw.url ?? '').length > maxUrlLength) throw new Problem('uri_too_long')
    })
    // Node gives a CONNECT to no request handler, and its socket has no error listener any more.
    app.server.on('connect', (_request: IncomingMessage, socket: Socket) => {
      socket.on('error', () => socket.destroy())
      endWith(app, socket, new Problem('method_not_allowed', { headers: { allow: '' } }), 'CONNECT')
    })
  },
  { name: 'latchkey-framing', fastify: '5.x', dependencies: ['latchkey-security-headers'] },
)

function ambiguityOf({ httpVersion, rawHeaders, headers, url }: IncomingMessage): string | undefined {
  const hosts = headerValues(rawHeaders, 'host').length
  // HTTP/1.0 knows no Host, and gateways still speak it by default.
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0')) return 'host'
  // Absolute form names a second host.
  if (!url?.startsWith('/')) return 'request_target'
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  return coding.toLowerCase() === 'chunked' && httpVersion !== '1.0' ? undefined : 'transfer_encoding'
}
