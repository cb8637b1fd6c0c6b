import swaggerUi from '@fastify/swagger-ui'
import { Type } from '@sinclair/typebox'
import type { RouteScope } from '../../plugins/contract/provider.ts'

const tags = ['operations']

/**
 * The page's own policy: its files and this service, nothing of another host. Swagger UI writes style attributes,
 * so those alone may be inline. No `upgrade-insecure-requests`: it would empty the page on plain http.
 */
const pagePolicy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "style-src-attr 'unsafe-inline'",
  "img-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join('; ')

interface DocsOptions {
  readonly basePath: string
  readonly page: boolean
}

/** The contract in its two spellings, and a page to try it. */
export default async function docsRoutes(app: RouteScope, { basePath, page }: DocsOptions): Promise<void> {
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
    async (_request, reply) => reply.code(200).send(app.swagger() as object),
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

  if (!page) return
  await app.register(async (scope) => {
    scope.accessOfScope = 'public'
    // The library writes the document anew for each request, which takes tens of milliseconds.
    scope.addHook('onRoute', (route) => {
      if (route.url !== '/docs/yaml') return
      route.handler = (_request, reply) => reply.type('application/x-yaml').send(app.contractYaml())
    })
    await scope.register(swaggerUi, {
      routePrefix: '/docs',
      // Behind a gateway that adds a prefix, the page finds its files and the service there.
      indexPrefix: basePath,
      transformSpecification: (document) => ({ ...document, servers: [{ url: basePath || '/' }] }),
      staticCSP: pagePolicy,
      theme: { title: 'Latchkey' },
      // Without the top bar: its logo brings a style element, which the policy refuses.
      uiConfig: { layout: 'BaseLayout' },
    })
  })
}
