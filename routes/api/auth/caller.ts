import type { FastifyRequest } from 'fastify'
import { clientAddress } from '../../../plugins/limits/client-address.ts'
import type { Caller } from '../../../src/sessions/caller.ts'

export function callerOf(request: FastifyRequest): Caller {
  return {
    ip: clientAddress(request),
    // The sender's text: bounded and printable before it is stored.
    userAgent: (request.headers['user-agent'] ?? '').replace(/[^\x20-\x7e]/g, '?').slice(0, 255),
    sid: request.user?.sid ?? '',
    signal: request.clientGone ?? undefined,
  }
}
