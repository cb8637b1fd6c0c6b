import type { FastifyRequest } from 'fastify'
import { headerValues } from '../../src/http/raw-headers.ts'
import { Problem } from '../../src/problem.ts'
import type { Service } from '../../src/tokens/service.ts'

/** Client id and secret in a form (RFC 6749 section 2.3.1). */
interface FormCredentials {
  readonly client_id?: string
  readonly client_secret?: string
}

/**
 * The client that asks for a token, by HTTP Basic or by the form, and only by one of them (RFC 6749 section 2.3).
 * @throws Problem invalid_client, invalid_request
 */
export function authenticateClient(request: FastifyRequest, form: FormCredentials): Service {
  const { serviceClients, serviceCredentials } = request.server
  const [header, ...others] = headerValues(request.raw.rawHeaders, 'authorization')
  const { client_id: id, client_secret: secret } = form
  if (others.length > 0 || (header !== undefined && secret !== undefined))
    throw new Problem('invalid_request', { reason: 'several_credentials' })
  if (header === undefined) {
    const client = serviceClients.verify(id ?? '', secret ?? '')
    if (!client) throw new Problem('invalid_client', { reason: id === undefined ? 'missing' : 'credentials' })
    return client
  }
  const client = serviceCredentials.claims(header) ? serviceCredentials.verify(header) : undefined
  if (!client) throw new Problem('invalid_client', { reason: 'credentials' })
  if (id !== undefined && id !== client.id) throw new Problem('invalid_request', { reason: 'two_clients' })
  return client
}
