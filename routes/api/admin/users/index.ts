import { Type } from '@sinclair/typebox'
import { linkHeader, nextLink } from '../../../../plugins/contract/paging.ts'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { recordAs } from '../../../../src/admin/operator.ts'
import { getUser, listUsers } from '../../../../src/admin/repository.ts'
import { canonicalEmail } from '../../../../src/users/email.ts'
import { operatorOf } from '../operator-of.ts'
import type { AdminOptions } from '../options.ts'
import { AdminUserParams, AdminUserSchema, UsersQuery } from '../schemas.ts'
import actionRoutes from './user/index.ts'

const tags = ['admin']

export default async function userRoutes(app: RouteScope, options: AdminOptions): Promise<void> {
  const { basePath } = options

  app.get(
    '',
    {
      config: { access: 'service', scope: 'admin:read', hidden: true },
      schema: {
        operationId: 'listUsers',
        tags,
        summary: 'List users, or find one by address',
        description:
          'In order of id. With `email`, the users that have that address: at most one account of this service, and ' +
          'users of trusted issuers whose token named it.',
        querystring: UsersQuery,
        response: {
          200: { ...Type.Array(Ref(AdminUserSchema)), description: 'A page of users', headers: linkHeader },
        },
      },
    },
    async (request, reply) => {
      const { email, after, limit = 50 } = request.query
      const wanted = { email: email === undefined ? undefined : canonicalEmail(email), after, limit }
      const [{ rows, more }] = await Promise.all([
        listUsers(app.db, wanted),
        recordAs(request.services, operatorOf(request), { event: 'users_read' }),
      ])
      const last = rows.at(-1)
      if (more && last) {
        reply.header('link', nextLink(`${basePath}/api/admin/users`, { email, limit, after: last.id }))
      }
      return reply.code(200).send([...rows])
    },
  )

  app.get(
    '/:user_id',
    {
      config: { access: 'service', scope: 'admin:read', hidden: true, problems: ['user_not_found'] },
      schema: {
        operationId: 'getUser',
        tags,
        summary: 'Read a user',
        params: AdminUserParams,
        response: { 200: { ...Ref(AdminUserSchema), description: 'The user' } },
      },
    },
    async (request, reply) => {
      const { user_id: userId } = request.params
      const [user] = await Promise.all([
        getUser(app.db, userId),
        recordAs(request.services, operatorOf(request), { event: 'user_read', userId }),
      ])
      return reply.code(200).send(user)
    },
  )

  await app.register(actionRoutes, { ...options, prefix: '/:user_id' })
}
