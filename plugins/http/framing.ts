import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import fp from 'fastify-plugin'
import { headerValues } from '../../src/http/raw-headers.ts'
import { Problem } from '../../src/problem.ts'
import { endWith } from './framework.ts'

/** What RFC 9110 section 4.1 asks every recipient to take. */
const maxUrlLength = 8_000

/**
 * Refuses what Node's parser lets through though a gateway may read it as something else, and ends the connection:
 * what follows on it may not be what it seems.
 */
export default fp(
  async (app) => {
    // Node drops what comes after so many header lines (2,000), and no rule here would see it; its limit on their
    // bytes holds all the same.
    app.server.maxHeadersCount = 0
    // Before the router reads it.
    app.server.prependListener('request', (request: IncomingMessage) => {
      request.url = originForm(request)
    })
    app.addHook('onRequest', async ({ raw }) => {
      const headers = { connection: 'close' }
      const reason = ambiguityOf(raw)
      if (reason) throw new Problem('invalid_request', { reason, headers })
      if (expectsMore(raw)) throw new Problem('expectation_failed', { headers })
      if ((raw.url ?? '').length > maxUrlLength) throw new Problem('uri_too_long')
    })
    // Node answers what it does not know with a 417 of its own; the hook above does it with a problem.
    app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      app.server.emit('request', request, response)
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
  // Absolute form of another host, or what is no path.
  if (!url?.startsWith('/')) return 'request_target'
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  return coding.toLowerCase() === 'chunked' && httpVersion !== '1.0' ? undefined : 'transfer_encoding'
}

/**
 * The request target as a path. RFC 9112 section 3.2.2 has a server accept the absolute form; it stays as it is, to be
 * refused, where it does not name the host that the Host header does: two readers could take it for two requests.
 */
function originForm({ url = '', headers }: IncomingMessage): string {
  const [, scheme = '', authority = '', rest = ''] = /^(https?):\/\/([^/?#@]+)([/?].*)?$/i.exec(url) ?? []
  if (authority === '') return url
  if (headers.host !== undefined && hostOf(scheme, headers.host) !== hostOf(scheme, authority)) return url
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** For comparing: without the port that goes without saying. */
function hostOf(scheme: string, authority: string): string {
  const port = scheme.toLowerCase() === 'https' ? ':443' : ':80'
  const host = authority.toLowerCase().replace(/:$/, '')
  return host.endsWith(port) ? host.slice(0, -port.length) : host
}

/** Whether an `Expect` asks for more than `100-continue`; in HTTP/1.0 it has no meaning (RFC 9110 section 10.1.1). */
function expectsMore({ httpVersion, headers: { expect } }: IncomingMessage): boolean {
  return expect !== undefined && httpVersion !== '1.0' && expect.trim().toLowerCase() !== '100-continue'
}
