import { Type } from '@sinclair/typebox'
import { linkHeader, nextLink } from '../../../plugins/contract/paging.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { Ref } from '../../../plugins/contract/schemas.ts'
import { inviteUser } from '../../../src/admin/invitation.ts'
import { recordAs } from '../../../src/admin/operator.ts'
import { listEvents } from '../../../src/admin/repository.ts'
import { canonicalEmail } from '../../../src/users/email.ts'
import { operatorOf } from './operator-of.ts'
import type { AdminOptions } from './options.ts'
import { AdminUserSchema, EventsQuery, InvitationBody, SecurityEventSchema, schemas } from './schemas.ts'
import userRoutes from './users/index.ts'

const tags = ['admin']

export default async function adminRoutes(app: RouteScope, options: AdminOptions): Promise<void> {
  const { basePath } = options
  for (const schema of schemas) app.addSchema(schema)

  // A call that was refused is an event too: those that succeed store their own.
  app.addHook('onResponse', async (request, reply) => {
    if (!request.service || reply.statusCode < 400) return
    const { clientId, ip } = operatorOf(request)
    const { user_id: userId } = request.params as { user_id?: string }
    request.services.securityEvents.note({ event: 'admin_call_refused', userId, clientId, ip })
  })

  await app.register(userRoutes, { ...options, prefix: '/users' })

  app.post(
    '/invitations',
    {
      config: {
        access: 'service',
        scope: 'admin:write',
        hidden: true,
        problems: ['email_already_registered', 'mail_unavailable'],
        conflicts: ['email_already_registered'],
      },
      schema: {
        operationId: 'inviteUser',
        tags,
        summary: 'Invite somebody by mail',
        description:
          'Makes an account without a password. The mailed link sets one, as that of a password reset does, and ' +
          'proves the address. It lives as long as one that verifies an address; after that, "forgot password" ' +
          'mails another.',
        body: Ref(InvitationBody),
        response: {
          201: { ...Ref(AdminUserSchema), description: 'The account was made, and the mail queued' },
        },
      },
    },
    async (request, reply) => {
      const { email, name } = request.body
      const wanted = { email: canonicalEmail(email), name }
      return reply.code(201).send(await inviteUser(request.services, operatorOf(request), wanted))
    },
  )

  app.get(
    '/events',
    {
      config: { access: 'service', scope: 'admin:read', hidden: true },
      schema: {
        operationId: 'listSecurityEvents',
        tags,
        summary: 'List security events, newest first',
        querystring: EventsQuery,
        response: {
          200: {
            ...Type.Array(Ref(SecurityEventSchema)),
            description: 'A page of events',
            headers: linkHeader,
          },
        },
      },
    },
    async (request, reply) => {
      const { user_id: userId, event, after, limit = 50 } = request.query
      const [{ rows, more }] = await Promise.all([
        listEvents(app.db, { userId, event, after, limit }),
        recordAs(request.services, operatorOf(request), { event: 'security_events_read', userId }),
      ])
      const last = rows.at(-1)
      if (more && last) {
        const query = { user_id: userId, event, limit, after: last.id }
        reply.header('link', nextLink(`${basePath}/api/admin/events`, query))
      }
      return reply.code(200).send([...rows])
    },
  )
}
