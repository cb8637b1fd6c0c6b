import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { isLoopback } from '../../src/http/loopback.ts'
import { Problem } from '../../src/problem.ts'

interface AllowedHostsOptions {
  readonly publicUrl: string
  /** Where the service listens. */
  readonly host: string
}

/**
 * Refuses a `Host` that no developer would use, before all else. Otherwise a page whose name its owner has pointed at
 * 127.0.0.1 (DNS rebinding) is of the same origin as this service: it reads the mailbox and takes accounts over.
 */
export default fp<AllowedHostsOptions>(
  async (app, options) => {
    const own = [hostnameOf(new URL(options.publicUrl).host), hostnameOf(options.host)]
    // Listening everywhere, it has addresses that HOST does not name. No name can be pointed at what is an address.
    const everyAddress = ['0.0.0.0', '::'].includes(options.host)

    function isAllowed(host: string): boolean {
      const name = hostnameOf(host)
      if (name === undefined) return false
      if (own.includes(name) || /^(.+\.)?localhost$/.test(name)) return true
      return isLoopback(name) || (everyAddress && isIP(name) > 0)
    }

    app.addHook('onRequest', async ({ headers: { host } }) => {
      // HTTP/1.0 may have none, and no browser speaks it.
      if (host !== undefined && !isAllowed(host)) throw new Problem('host_not_allowed', { reason: 'host' })
    })
  },
  { name: 'latchkey-allowed-hosts', fastify: '5.x', dependencies: ['latchkey-errors'] },
)

/** Of `name:port`; undefined for what is no such text. An IPv6 address is without its brackets. */
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

/** Whether a request was made on this machine: its connection is, and nothing says that it is passed on. */
export function isLocal({ raw, headers }: FastifyRequest): boolean {
  return isLoopback(raw.socket.remoteAddress) && forwarding.every((name) => headers[name] === undefined)
}
