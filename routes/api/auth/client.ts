import type { FastifyRequest } from 'fastify'
import type { Client } from '../../../src/sessions/repository.ts'

/** The client as the session list will show it; a user agent is the sender's text, so bounded and printable. */
export function clientOf(request: FastifyRequest): Client {
  const userAgent = (request.headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 255)
  return { ip: request.ip, userAgent }
}
