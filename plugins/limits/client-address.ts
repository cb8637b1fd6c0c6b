import { isIP } from 'node:net'
import type { FastifyRequest } from 'fastify'

/**
 * The client's address. Where a trusted gateway forwards an invalid one, it is the gateway's: its clients share one
 * budget, instead of choosing a key each.
 */
export function clientAddress({ ip, socket }: Pick<FastifyRequest, 'ip' | 'socket'>): string {
  return isIP(ip) ? ip : (socket.remoteAddress ?? '')
}
