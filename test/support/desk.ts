import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { sign } from './mint.ts'
import { basic, serviceClients } from './service-client.ts'

/** A trusted issuer whose tokens are signed with a secret. */
export const issuer = 'https://app.example.com'
const issuerSecret = 'another secret of thirty-two bytes'

/** One client with both scopes, and one with each. */
export const deskEnv = {
  ...serviceClients({
    desk: ['admin:read', 'admin:write', 'introspect', 'revocations:read'],
    reader: ['admin:read'],
    writer: ['admin:write'],
    neighbour: ['introspect', 'revocations:read'],
  }),
  TRUSTED_ISSUERS: JSON.stringify([{ issuer, audience: 'latchkey', secret: issuerSecret }]),
}

/** A token of the trusted issuer. */
export function foreignToken(sub: string, issuedAt = Math.floor(Date.now() / 1000)): string {
  const times = { iat: issuedAt, exp: issuedAt + 600 }
  return sign(
    { alg: 'HS256', typ: 'JWT' },
    { iss: issuer, aud: 'latchkey', sub, email: `${sub}@example.com`, ...times },
    issuerSecret,
  )
}

/** The key of that issuer's user. */
export const foreignKey = (sub: string) => `${issuer} ${sub}`

/** A service client that calls the admin API. */
export function deskOf(app: FastifyInstance, client = 'desk') {
  return (method: string, path: string, payload?: object): Promise<LightMyRequestResponse> =>
    app.inject({
      method: method as 'GET',
      url: `/api/admin/${path}`,
      headers: { authorization: basic(client) },
      ...(payload ? { payload } : {}),
    })
}

/** The path of an action on a user. */
export const on = (userId: string, action: string) => `users/${encodeURIComponent(userId)}/${action}`
