import { Type } from '@sinclair/typebox'
import { ConditionalHeaders, etagHeader } from '../../../../plugins/contract/conditional.ts'
import type { RouteScope } from '../../../../plugins/contract/provider.ts'
import { Ref } from '../../../../plugins/contract/schemas.ts'
import { etagOf, preconditionsOf, refusalOf } from '../../../../src/http/etag.ts'
import { changeItem, removeItem } from '../../../../src/owned/conditional-writes.ts'
import { changedValues } from '../../../../src/owned/item.ts'
import type { Resource } from '../../../../src/owned/resource.ts'
import { Problem } from '../../../../src/problem.ts'
import type { schemasOf } from '../schemas.ts'

interface ItemOptions {
  readonly resource: Resource
  readonly schemas: ReturnType<typeof schemasOf>
}

export default async function itemRoutes(
  app: RouteScope,
  { resource, schemas: { Item, ItemChanges, ItemParams } }: ItemOptions,
): Promise<void> {
  const { name, words, types, scopes, fields, parameter, rows } = resource
  const tags = [name]
  const problems = [resource.problems.notFound, 'precondition_failed'] as const
  const idOf = ({ params }: { readonly params: unknown }) =>
    (params as Record<string, number>)[parameter] ?? 0

  app.get(
    '',
    {
      config: { access: 'owner', scope: scopes.read, problems },
      schema: {
        operationId: `get${types.one}`,
        tags,
        summary: `Read ${words.aOne}`,
        params: ItemParams,
        headers: ConditionalHeaders,
        response: {
          200: { ...Ref(Item), description: `The ${words.one}`, headers: etagHeader },
          304: {
            // A null schema would set a Content-Type.
            ...Type.Unsafe<undefined>({ type: 'null' }),
            description: `The ${words.one} is at a version that \`If-None-Match\` names`,
            headers: etagHeader,
          },
        },
      },
    },
    async (request, reply) => {
      const found = await rows.findOwned(app.db, request.owner, idOf(request))
      if (!found) throw new Problem(resource.problems.notFound)
      const refusal = refusalOf(preconditionsOf(request.headers), found.version)
      if (refusal === 'failed') throw new Problem('precondition_failed')
      reply.header('etag', etagOf(found.version))
      return refusal ? reply.code(304).send() : reply.code(200).send(found.item)
    },
  )

  for (const method of ['PUT', 'PATCH'] as const) {
    app.route({
      method,
      url: '',
      config: { access: 'owner', scope: scopes.write, problems },
      schema: {
        operationId: `${method === 'PUT' ? 'update' : 'patch'}${types.one}`,
        tags,
        summary: `Change ${words.aOne}`,
        description: 'Only the fields sent change; PUT and PATCH are the same.',
        params: ItemParams,
        headers: ConditionalHeaders,
        body: Ref(ItemChanges),
        response: {
          200: { ...Ref(Item), description: `The ${words.one} as it is now`, headers: etagHeader },
        },
      },
      handler: async (request, reply) => {
        const preconditions = preconditionsOf(request.headers)
        const changes = changedValues(fields, request.body)
        const id = idOf(request)
        const { item, version } = await changeItem(
          resource,
          app.db,
          request.owner,
          id,
          changes,
          preconditions,
        )
        return reply.header('etag', etagOf(version)).code(200).send(item)
      },
    })
  }

  app.delete(
    '',
    {
      config: { access: 'owner', scope: scopes.write, problems },
      schema: {
        operationId: `delete${types.one}`,
        tags,
        summary: `Delete ${words.aOne}`,
        params: ItemParams,
        headers: ConditionalHeaders,
        response: { 204: { ...Type.Null(), description: `The ${words.one} is gone` } },
      },
    },
    async (request, reply) => {
      const preconditions = preconditionsOf(request.headers)
      await removeItem(resource, app.db, request.owner, idOf(request), preconditions)
      return reply.code(204).send(null)
    },
  )
}
