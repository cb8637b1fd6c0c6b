import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import { once } from './files.ts'
import docsPage from './page.ts'

const tags = ['operations']

interface DocsOptions {
  readonly basePath: string
  readonly page: boolean
}

/** The contract as JSON and YAML, and Swagger UI. */
export default async function docsRoutes(app: RouteScope, { basePath, page }: DocsOptions): Promise<void> {
  // Cached: rendering takes milliseconds, and the route is public.
  const json = once(async () => Buffer.from(JSON.stringify(app.swagger())))
  app.get(
    '/openapi.json',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getOpenapiJson',
        tags,
        summary: 'This document as JSON',
        response: { 200: { ...Type.Object({}, { additionalProperties: true }), description: 'OpenAPI 3.1' } },
      },
    },
    async (_request, reply) =>
      reply
        .type('application/json; charset=utf-8')
        .code(200)
        // A buffer is sent without serialization.
        .send((await json()) as object),
  )

  app.get(
    '/openapi.yaml',
    {
      config: { access: 'public' },
      schema: {
        operationId: 'getOpenapiYaml',
        tags,
        summary: 'This document as YAML',
        produces: ['application/yaml'],
        response: { 200: { ...Type.String(), description: 'OpenAPI 3.1' } },
      },
    },
    async (_request, reply) =>
      reply.type('application/yaml; charset=utf-8').code(200).send(app.contractYaml()),
  )

  if (page) await app.register(docsPage, { basePath })
}
