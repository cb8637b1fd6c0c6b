import type { FastifyRequest } from 'fastify'
import { clientAddress } from '../../../plugins/limits/client-address.ts'
import type { Asker } from '../../../src/accounts/service.ts'
import type { Client } from '../../../src/sessions/repository.ts'

/** The client as the session list will show it; a user agent is the sender's text, so bounded and printable. */
export function clientOf(request: FastifyRequest): Client {
  const userAgent = (request.headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 255)
  return { ip: clientAddress(request), userAgent, left: request.left ?? undefined }
}

/** Who presents a password in an open session. */
export function askerOf(request: FastifyRequest): Asker {
  return { sid: request.user?.sid ?? '', ip: clientAddress(request), left: request.left ?? undefined }
}
