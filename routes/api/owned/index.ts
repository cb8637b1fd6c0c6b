import { Type } from '@sinclair/typebox'
import { etagHeader } from '../../../plugins/contract/conditional.ts'
import { linkHeader, nextLink } from '../../../plugins/contract/paging.ts'
import type { RouteScope } from '../../../plugins/contract/provider.ts'
import { OwnerParams, Ref } from '../../../plugins/contract/schemas.ts'
import { etagOf } from '../../../src/http/etag.ts'
import { createItem } from '../../../src/owned/creation.ts'
import { newValues } from '../../../src/owned/item.ts'
import type { Resource } from '../../../src/owned/resource.ts'
import itemRoutes from './item/index.ts'
import { schemasOf } from './schemas.ts'

interface OwnedOptions {
  readonly resource: Resource
  readonly basePath: string
  /** Items that a user may have. */
  readonly max: number
}

interface ListQuery {
  readonly limit?: number
  readonly cursor?: string
  readonly [filter: string]: string | number | boolean | undefined
}

/** The routes of a resource, of its declaration. */
export default async function ownedRoutes(
  app: RouteScope,
  { resource, basePath, max }: OwnedOptions,
): Promise<void> {
  const { name, words, types, scopes, fields, filters, problems, rows } = resource
  const schemas = schemasOf(resource)
  const { Item, NewItem, ItemChanges } = schemas
  for (const schema of [Item, NewItem, ItemChanges]) app.addSchema(schema)
  const tags = [name]

  app.get(
    '',
    {
      config: { access: 'owner', scope: scopes.read },
      schema: {
        operationId: `list${types.many}`,
        tags,
        summary: `List ${words.many}, oldest first`,
        params: OwnerParams,
        querystring: schemas.ListQuery,
        response: {
          200: {
            ...Type.Array(Ref(Item)),
            description: `A page of ${words.many} in order of id`,
            headers: linkHeader,
          },
        },
      },
    },
    async (request, reply) => {
      const query = request.query as ListQuery
      const { limit = 50, cursor = 0 } = query
      const page = { limit, after: Number(cursor), where: query }
      const { items, more } = await rows.listOwned(app.db, request.owner, page)
      const last = items.at(-1)
      if (more && last) {
        const set = Object.fromEntries(filters.map(({ name }) => [name, query[name]]))
        reply.header('link', nextLink(pathOf(request.params.user_id), { limit, cursor: last.id, ...set }))
      }
      return reply.code(200).send(items)
    },
  )

  app.post(
    '',
    {
      config: {
        access: 'owner',
        scope: scopes.write,
        idempotent: true,
        problems: [problems.limitReached],
      },
      schema: {
        operationId: `create${types.one}`,
        tags,
        summary: `Create ${words.aOne}`,
        params: OwnerParams,
        body: Ref(NewItem),
        response: {
          201: {
            ...Ref(Item),
            description: `The ${words.one} was made`,
            headers: {
              ...etagHeader,
              Location: { type: 'string', description: `The path of the ${words.one}` },
            },
          },
        },
      },
    },
    async (request, reply) => {
      const wanted = newValues(fields, request.body)
      const { keyed } = request
      const { item, version } = await createItem(resource, app.db, request.owner, wanted, { keyed, max })
      reply.header('location', pathOf(request.params.user_id, item.id)).header('etag', etagOf(version))
      return reply.code(201).send(item)
    },
  )

  await app.register(itemRoutes, { prefix: `/:${resource.parameter}`, resource, schemas })

  /** With the path of PUBLIC_URL, so that links work behind a gateway that strips a prefix. */
  function pathOf(userId: string, id?: number): string {
    const list = `${basePath}/api/${encodeURIComponent(userId)}/${name}`
    return id === undefined ? list : `${list}/${id}`
  }
}
