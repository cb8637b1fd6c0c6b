import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { changePassword } from '../../../../src/accounts/service.ts'
import { ChangePasswordBody, schemas } from './schemas.ts'

const tags = ['auth']

export default async function passwordRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.put(
    '',
    {
      config: {
        access: 'user',
        budget: 'password',
        problems: ['user_not_found', 'invalid_credentials'],
      },
      schema: {
        operationId: 'changePassword',
        tags,
        summary: 'Set a new password; every other session ends',
        body: Ref(ChangePasswordBody),
        response: {
          204: { ...Type.Null(), description: 'The new password counts, the other sessions are over' },
        },
      },
    },
    async (request, reply) => {
      const { current_password: current, new_password: wanted } = request.body
      await changePassword(app, request.owner, {
        current,
        wanted,
        sid: request.user?.sid ?? '',
        ip: request.ip,
      })
      return reply.code(204).send(null)
    },
  )
}
