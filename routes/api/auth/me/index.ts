import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { deleteAccount } from '../../../../src/accounts/deletion.ts'
import { Problem } from '../../../../src/problem.ts'
import { withRow } from '../../../../src/users/foreign-users.ts'
import { findOwnedUser, renameOwnedUser } from '../../../../src/users/repository.ts'
import { callerOf } from '../caller.ts'
import { UserSchema } from '../schemas.ts'
import exportRoutes from './export/index.ts'
import { DeleteAccountBody, ProfileBody, schemas } from './schemas.ts'

const tags = ['auth']

export default async function meRoutes(app: RouteScope): Promise<void> {
  for (const schema of schemas) app.addSchema(schema)

  app.get(
    '',
    {
      config: { access: 'user', withoutSecondFactor: true, problems: ['user_not_found'] },
      schema: {
        operationId: 'getMe',
        tags,
        summary: "Read the token's account",
        response: { 200: { ...Ref(UserSchema), description: 'The account' } },
      },
    },
    async (request, reply) =>
      reply
        .code(200)
        .send(found(await withRow(app.db, request.caller, () => findOwnedUser(app.db, request.owner)))),
  )

  app.patch(
    '',
    {
      config: { access: 'user', problems: ['user_not_found'] },
      schema: {
        operationId: 'updateMe',
        tags,
        summary: "Rename the token's account",
        body: Ref(ProfileBody),
        response: { 200: { ...Ref(UserSchema), description: 'The account as it is now' } },
      },
    },
    async (request, reply) =>
      reply
        .code(200)
        .send(
          found(
            await withRow(app.db, request.caller, () =>
              renameOwnedUser(app.db, request.owner, request.body.name),
            ),
          ),
        ),
  )

  app.post(
    '/delete',
    {
      config: {
        access: 'user',
        budget: 'login',
        hashes: true,
        problems: ['user_not_found', 'invalid_credentials'],
      },
      schema: {
        operationId: 'deleteMe',
        tags,
        summary: "Delete the token's account with its sessions, API keys and tasks",
        description: 'A POST, since gateways drop the body of a DELETE.',
        body: Ref(DeleteAccountBody),
        response: {
          204: {
            ...Type.Null(),
            description: 'The account, its sessions, its API keys and its tasks were deleted',
          },
        },
      },
    },
    async (request, reply) => {
      await deleteAccount(request.services, request.owner, request.body.password, callerOf(request))
      return reply.code(204).send(null)
    },
  )

  await app.register(exportRoutes, { prefix: '/export' })
}

function found<T>(user: T | undefined): T {
  if (!user) throw new Problem('user_not_found')
  return user
}
