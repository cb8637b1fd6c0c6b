import { createRequire } from 'node:module'
import swagger from '@fastify/swagger'
import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { OpenAPIV3_1 } from 'openapi-types'
import { stringify } from 'yaml'
import type { ProblemCode } from '../../src/problem.ts'
import { documentProblems } from './problem-answers.ts'
import { ProblemSchema } from './schemas.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document of the routes registered, as YAML; the committed openapi.yaml is this text. */
    contractYaml(): string
  }
}

const { version } = createRequire(import.meta.url)(findPackageJson()) as { version: string }

/** Derives the OpenAPI document from the routes: what a hook or the validation can answer, no route repeats. */
export default fp(
  async (app) => {
    app.addSchema(ProblemSchema)
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version,
          description: 'Accounts, sessions, tokens, and resources that only their owner can reach.',
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: '/', description: 'This service' }],
        tags: [
          { name: 'auth', description: 'Accounts, sessions and tokens' },
          { name: 'tasks', description: 'The per-user resource' },
          { name: 'operations', description: 'Health and contract' },
        ],
        components: {
          securitySchemes: {
            bearer: {
              type: 'http',
              scheme: 'bearer',
              bearerFormat: 'JWT',
              description: 'An access token from signup or login (RFC 6750, RFC 9068)',
            },
          },
        },
      },
      transformObject: (document) => withOptionalBodies(document),
      refResolver: {
        buildLocalReference: (json, _base, _fragment, index) => String(json['$id'] ?? `def-${index}`),
      },
    })
    app.addHook('onRoute', (route) => documentProblems(route, derivedProblems(route)))
    app.decorate('contractYaml', () =>
      stringify(JSON.parse(JSON.stringify(app.swagger())), { lineWidth: 100, compat: 'yaml-1.1' }),
    )
  },
  { name: 'latchkey-contract', fastify: '5.x' },
)

function derivedProblems({ schema }: RouteOptions): ProblemCode[] {
  const codes: ProblemCode[] = ['rate_limited', 'internal_error', 'service_unavailable']
  if (schema?.body || schema?.params || schema?.querystring)
    codes.unshift('invalid_request', 'validation_failed')
  if (schema?.body) codes.unshift('payload_too_large', 'unsupported_media_type')
  return codes
}

/** The package file lies one folder higher when this file was compiled into dist/. */
function findPackageJson(): string {
  return import.meta.url.includes('/dist/') ? '../../../package.json' : '../../package.json'
}

/** A body of which no field is required may be left out; the generator calls every body required. */
function withOptionalBodies(built: object): Partial<OpenAPIV3_1.Document> {
  const document = (built as { openapiObject: Partial<OpenAPIV3_1.Document> }).openapiObject
  const schemas = document.components?.schemas ?? {}
  for (const operation of Object.values(document.paths ?? {}).flatMap((path) => Object.values(path ?? {}))) {
    const body = (operation as OpenAPIV3_1.OperationObject).requestBody as
      | OpenAPIV3_1.RequestBodyObject
      | undefined
    const reference = (body?.content['application/json']?.schema as OpenAPIV3_1.ReferenceObject | undefined)
      ?.$ref
    const schema = reference === undefined ? undefined : schemas[reference.split('/').at(-1) ?? '']
    if (body && schema && !schema.required && !schema.minProperties) body.required = false
  }
  return document
}
