import type { FastifyRequest } from 'fastify'
import { clientAddress } from '../../../plugins/limits/client-address.ts'
import type { Operator } from '../../../src/admin/operator.ts'

/** The service client of a request behind the guard. */
export function operatorOf(request: FastifyRequest): Operator {
  if (!request.service) throw new Error('this route has no guard for service clients')
  return { clientId: request.service.id, ip: clientAddress(request) }
}
