import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * The client's address. Where a trusted gateway passes on something that is none, it is the gateway's: its clients
 * then share what one has, instead of choosing a name each.
 */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  return isIP(ip) ? ip : (socket.remoteAddress ?? '')
}
