import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isLoopback } from '../../src/http/loopback.ts'
import { Problem } from '../../src/problem.ts'
import { isAsking } from '../gateway/asking.ts'

interface AllowedHostsOptions {
  readonly publicUrl: string
  /** HOST. */
  readonly host: string
}

/**
 * Refuses unknown `Host` headers in development (DNS rebinding): a page whose domain resolves to 127.0.0.1 would be
 * same-origin with this service, read the mailbox and take over accounts.
 */
export default fp<AllowedHostsOptions>(
  async (app, options) => {
    const own = [hostnameOf(new URL(options.publicUrl).host), hostnameOf(options.host)]
    // On all interfaces, any IP address is allowed: rebinding needs a name.
    const everyAddress = ['0.0.0.0', '::'].includes(options.host)

    function isAllowed(host: string): boolean {
      const name = hostnameOf(host)
      if (name === undefined) return false
      if (own.includes(name) || /^(.+\.)?localhost$/.test(name)) return true
      return isLoopback(name) || (everyAddress && isIP(name) > 0)
    }

    app.addHook('onRequest', async (request) => {
      const { host } = request.headers
      // HTTP/1.0 may have none; browsers do not use it. A gateway sends a name of its own, and a page learns nothing there.
      if (host !== undefined && !isAllowed(host) && !isAsking(request))
        throw new Problem('host_not_allowed', { reason: 'host' })
    })
  },
  { name: 'latchkey-allowed-hosts', fastify: '5.x', dependencies: ['latchkey-errors'] },
)

/** The host of `host:port`, without brackets; undefined when invalid. */
function hostnameOf(host: string): string | undefined {
  if (isIP(host)) return host
  const [, name, address] = /^(?:([a-z0-9._-]+)|\[([0-9a-f:.]+)\])(?::\d*)?$/i.exec(host) ?? []
  return (address ?? name?.replace(/\.$/, ''))?.toLowerCase()
}

const forwarding = [
  'forwarded',
  'via',
  'x-forwarded-for',
  'x-forwarded-host',
  'x-forwarded-proto',
  'x-real-ip',
]

/** Whether a request comes from this machine, and not through a proxy. */
export function isLocal({ raw, headers }: FastifyRequest): boolean {
  return isLoopback(raw.socket.remoteAddress) && forwarding.every((name) => headers[name] === undefined)
}
