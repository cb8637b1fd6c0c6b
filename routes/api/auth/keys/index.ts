import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { clientAddress } from '../../../../plugins/limits/client-address.ts'
import { assertScopes, createOwnedKey } from '../../../../src/api-keys/creation.ts'
import { endOwnedKey } from '../../../../src/api-keys/ending.ts'
import { listOwnedKeys } from '../../../../src/api-keys/repository.ts'
import { ApiKeySchema, createKeyBody, KeyParams, NewApiKeySchema, schemas } from './schemas.ts'

const tags = ['auth']

interface KeyOptions {
  /** Longest life of a key. */
  readonly maxDays: number
}

export default async function keyRoutes(app: RouteScope, { maxDays }: KeyOptions): Promise<void> {
  const body = createKeyBody(maxDays)
  for (const schema of [...schemas, body]) app.addSchema(schema)

  app.post(
    '',
    {
      config: {
        access: 'user',
        maxAge: 3600,
        problems: ['session_required', 'key_limit_reached'],
      },
      schema: {
        operationId: 'createKey',
        tags,
        summary: 'Create an API key',
        description:
          'For scripts and other programs: it opens the operations that have one of its scopes in `x-scopes`, for its ' +
          'owner only, until it expires or is ended. The answer has its text, which nothing shows again. Asks for a ' +
          'login within the last hour. A user has at most 20, and gets a mail about each new one.',
        body: Ref(body),
        response: { 201: { ...Ref(NewApiKeySchema), description: 'The key was made' } },
      },
    },
    async (request, reply) => {
      const { owner, caller: principal } = request
      const { expires_in_days: days, ...wanted } = request.body
      assertScopes(wanted.scopes, app.keyScopes)
      const from = { owner, principal, ip: clientAddress(request) }
      const { key, text } = await createOwnedKey(request.services, from, { ...wanted, days })
      return reply.code(201).send({ ...key, key: text })
    },
  )

  app.get(
    '',
    {
      config: { access: 'user' },
      schema: {
        operationId: 'listKeys',
        tags,
        summary: "List the user's API keys, newest first",
        response: {
          200: { ...Type.Array(Ref(ApiKeySchema)), description: 'The keys that have not expired' },
        },
      },
    },
    async (request, reply) => reply.code(200).send(await listOwnedKeys(app.db, request.owner)),
  )

  app.delete(
    '/:key_id',
    {
      config: { access: 'user', problems: ['key_not_found'] },
      schema: {
        operationId: 'endKey',
        tags,
        summary: "End one of the user's API keys",
        params: KeyParams,
        response: { 204: { ...Type.Null(), description: 'The key has ended' } },
      },
    },
    async (request, reply) => {
      const { owner, params } = request
      await endOwnedKey(request.services, owner, params.key_id, clientAddress(request))
      return reply.code(204).send(null)
    },
  )
}
