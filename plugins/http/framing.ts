import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { headerValues } from '../../src/http/raw-headers.ts'
import { Problem } from '../../src/problem.ts'
import { isAsking, targetOf } from '../gateway/asking.ts'
import { endWith } from './framework.ts'

/** The minimum that every recipient should support (RFC 9110 section 4.1). */
const maxUrlLength = 8_000

/**
 * Refuses what Node's parser accepts although a gateway may parse it differently (request smuggling), and closes the
 * connection.
 */
export default fp(
  async (app) => {
    // Node drops header lines after the 2,000th, so the rules below would not see them. Its limit on bytes still applies.
    app.server.maxHeadersCount = 0
    /** Whose clients wait for a 100 before they send the body (RFC 9110 section 10.1.1). */
    const waiting = new WeakSet<ServerResponse>()
    // Before the router reads it.
    app.server.prependListener('request', (request: IncomingMessage) => {
      request.url = originForm(request)
    })
    app.addHook('onRequest', (request, reply, done) => {
      const problem = problemOf(request)
      if (!problem && !isAsking(request) && waiting.delete(reply.raw)) reply.raw.writeContinue()
      done(problem)
    })
    // Instead of Node's own 100: the hook above sends it, but not to a gateway, whose body is not read.
    app.server.on('checkContinue', (request: IncomingMessage, response: ServerResponse) => {
      waiting.add(response)
      app.server.emit('request', request, response)
    })
    // Instead of Node's own 417: the hook above answers with a problem.
    app.server.on('checkExpectation', (request: IncomingMessage, response: ServerResponse) => {
      app.server.emit('request', request, response)
    })
    // Node passes a CONNECT to no request handler, and has removed the error listener of its socket.
    app.server.on('connect', (_request: IncomingMessage, socket: Socket) => {
      socket.on('error', () => socket.destroy())
      endWith(app, socket, new Problem('method_not_allowed', { headers: { allow: '' } }), 'CONNECT')
    })
  },
  { name: 'latchkey-framing', fastify: '5.x', dependencies: ['latchkey-security-headers'] },
)

function problemOf(request: FastifyRequest): Problem | undefined {
  const { raw: message } = request
  const headers = { connection: 'close' }
  const target = isAsking(request) ? targetOf(request) : message.url
  const reason = ambiguityOf(message, target)
  if (isAsking(request)) return reason ? new Problem('not_owner', { reason, headers }) : undefined
  if (reason) return new Problem('invalid_request', { reason, headers })
  if (expectsMore(message)) return new Problem('expectation_failed', { headers })
  return (message.url ?? '').length > maxUrlLength ? new Problem('uri_too_long') : undefined
}

function ambiguityOf({ httpVersion, rawHeaders, headers }: IncomingMessage, target = ''): string | undefined {
  const hosts = headerValues(rawHeaders, 'host').length
  // HTTP/1.0 has no Host, and some gateways use it by default.
  if (hosts > 1 || (hosts === 0 && httpVersion !== '1.0')) return 'host'
  // An absolute form that originForm has left, or not a path.
  if (!target.startsWith('/')) return 'request_target'
  const coding = headers['transfer-encoding']
  if (coding === undefined) return undefined
  return coding.toLowerCase() === 'chunked' && httpVersion !== '1.0' ? undefined : 'transfer_encoding'
}

/**
 * The request target as a path. The absolute form is accepted (RFC 9112 section 3.2.2), but left unchanged, and so
 * refused, where its host differs from the Host header (parser differential).
 */
function originForm({ url = '', headers }: IncomingMessage): string {
  if (url.startsWith('/')) return url
  const [, scheme = '', authority = '', rest = ''] = /^(https?):\/\/([^/?#@]+)([/?].*)?$/i.exec(url) ?? []
  if (authority === '') return url
  if (headers.host !== undefined && hostOf(scheme, headers.host) !== hostOf(scheme, authority)) return url
  return rest.startsWith('/') ? rest : `/${rest}`
}

/** For comparison: without the default port. */
function hostOf(scheme: string, authority: string): string {
  const port = scheme.toLowerCase() === 'https' ? ':443' : ':80'
  const host = authority.toLowerCase().replace(/:$/, '')
  return host.endsWith(port) ? host.slice(0, -port.length) : host
}

/** Whether an `Expect` asks for more than `100-continue`; in HTTP/1.0 it has no meaning (RFC 9110 section 10.1.1). */
function expectsMore({ httpVersion, headers: { expect } }: IncomingMessage): boolean {
  return expect !== undefined && httpVersion !== '1.0' && expect.trim().toLowerCase() !== '100-continue'
}
