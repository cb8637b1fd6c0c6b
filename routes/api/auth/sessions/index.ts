import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { clientAddress } from '../../../../plugins/limits/client-address.ts'
import { endOwnedSession } from '../../../../src/sessions/ending.ts'
import { listOwnedSessions, type Session } from '../../../../src/sessions/repository.ts'
import { SessionInfoSchema, SessionParams, schemas } from './schemas.ts'

const tags = ['auth']

export default async function sessionRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'user' },
      schema: {
        operationId: 'listSessions',
        tags,
        summary: "List the user's sessions, newest first",
        response: {
          200: { ...Type.Array(Ref(SessionInfoSchema)), description: 'The sessions that have not expired' },
        },
      },
    },
    async (request, reply) => {
      const sessions = await listOwnedSessions(app.db, request.owner)
      return reply.code(200).send(sessions.map((session) => toInfo(session, request.user?.sid)))
    },
  )

  app.delete(
    '/:session_id',
    {
      config: { access: 'user', maxAge: 3600, problems: ['session_not_found'] },
      schema: {
        operationId: 'endSession',
        tags,
        summary: "End one of the user's sessions",
        description: 'Takes a login of the last hour (RFC 9470): authenticate again, if it is older.',
        params: SessionParams,
        response: { 204: { ...Type.Null(), description: 'The session has ended' } },
      },
    },
    async (request, reply) => {
      await endOwnedSession(
        request.services,
        request.owner,
        request.params.session_id,
        clientAddress(request),
      )
      return reply.code(204).send(null)
    },
  )
}

function toInfo(
  { id, created_at, last_used_at, idle_expires_at, ip, user_agent }: Session,
  current?: string,
) {
  return {
    id,
    created_at,
    last_used_at,
    expires_at: idle_expires_at,
    ip,
    user_agent,
    current: id === current,
  }
}
