import type { FastifyRequest } from 'fastify'
import { isLocal } from '../../plugins/http/allowed-hosts.ts'
import { Problem } from '../../src/problem.ts'

/** A hook for loopback clients only, even if the service listens on other interfaces. @throws Problem not_found */
export async function localOnly(request: FastifyRequest): Promise<void> {
  if (!isLocal(request)) throw new Problem('not_found', { reason: 'not_local' })
}
