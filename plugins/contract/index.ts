import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { fileURLToPath } from 'node:url'
import swagger from '@fastify/swagger'
import type { RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { OpenAPIV3_1 } from 'openapi-types'
import type { ProblemCode } from '../../src/problem.ts'
import type { Access } from '../guard.ts'
import { documentProblems } from './problem-answers.ts'
import { OAuthErrorSchema, ProblemSchema } from './schemas.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The OpenAPI document of the registered routes; openapi.yaml is this text. */
    contractYaml(): string
  }
}

interface Tag {
  readonly name: string
  readonly description: string
}

const require = createRequire(import.meta.url)
const { version } = require(packageFile()) as { version: string }

/**
 * Derives the OpenAPI document from the routes, and adds the problems that hooks and validation can answer.
 * `basePath` is the prefix behind a gateway, OpenAPI 3.1 section 4.8.5.
 */
export default fp<{ readonly basePath?: string; readonly resources?: readonly Tag[] }>(
  async (app, { basePath, resources = [] }) => {
    app.addSchema(ProblemSchema)
    app.addSchema(OAuthErrorSchema)
    await app.register(swagger, {
      openapi: {
        openapi: '3.1.0',
        info: {
          title: 'Latchkey',
          version,
          description: 'Accounts, sessions, tokens, and resources that only their owner can reach.',
          license: { name: 'MIT', identifier: 'MIT' },
        },
        servers: [{ url: basePath || '/', description: 'This service' }],
        tags: [
          { name: 'auth', description: 'Accounts, sessions and tokens' },
          ...resources.map(({ name, description }) => ({ name, description })),
          { name: 'oauth', description: 'Service clients, in the words of OAuth 2.0' },
          { name: 'gateway', description: 'For gateways and neighbouring services' },
          { name: 'events', description: 'What has happened, for neighbouring services' },
          { name: 'admin', description: 'Users, for the tools of operators' },
          { name: 'operations', description: 'Health and contract' },
        ],
        components: {
          securitySchemes: {
            bearer: {
              type: 'http',
              scheme: 'bearer',
              bearerFormat: 'JWT',
              description: 'An access token from signup, login or `POST /oauth/token` (RFC 6750, RFC 9068)',
            },
            client: {
              type: 'http',
              scheme: 'basic',
              description: 'Id and secret of a service client, both form-urlencoded (RFC 6749 section 2.3.1)',
            },
            api_key: {
              type: 'http',
              scheme: 'bearer',
              bearerFormat: 'lk_pat_ and 36 characters',
              description:
                'An API key with one of the scopes in `x-scopes`, from `POST /api/auth/keys`, in place of an access token',
            },
          },
        },
      },
      transformObject: (document) => withOptionalBodies(document),
      refResolver: {
        buildLocalReference: (json, _base, _fragment, index) => String(json['$id'] ?? `def-${index}`),
      },
    })
    app.addHook('onRoute', function (route) {
      // An invalid declaration stops the start in plugins/guard.ts.
      const guard = guards[route.config?.access ?? this.accessOfScope ?? 'public']
      const { scope } = route.config ?? {}
      const security = [
        ...(guard?.security ?? []),
        ...(scope !== undefined && guard?.takesKeys ? [apiKey] : []),
      ]
      route.schema = { ...route.schema, security, ...(scope === undefined ? {} : { 'x-scopes': [scope] }) }
      documentProblems(route, [
        ...derivedProblems(route),
        ...(guard?.problems ?? []).map((code) => (hidesBehind(route, code) ? 'not_found' : code)),
        ...stepUp(route),
        ...enrolment(route),
      ])
    })
    // Cached: rendering takes tens of milliseconds, and the route is public.
    let yaml: string | undefined
    app.decorate('contractYaml', () => {
      // Loaded lazily: most processes never need it.
      const { stringify } = require('yaml') as typeof import('yaml')
      yaml ??= stringify(JSON.parse(JSON.stringify(app.swagger())), { lineWidth: 100, compat: 'yaml-1.1' })
      return yaml
    })
  },
  { name: 'latchkey-contract', fastify: '5.x' },
)

interface GuardInContract {
  /** OpenAPI security requirement. */
  readonly security: readonly Record<string, string[]>[]
  readonly problems: readonly ProblemCode[]
  /** Whether an API key with the route's scope opens it. */
  readonly takesKeys?: true
}

const apiKey = { api_key: [] }

const bearer = { bearer: [] }
const client = { client: [] }

const guards: Record<Access, GuardInContract> = {
  public: { security: [], problems: [] },
  optional: { security: [{}, bearer], problems: [] },
  user: {
    security: [bearer],
    problems: ['unauthorized', 'insufficient_scope', 'invalid_request'],
    takesKeys: true,
  },
  owner: {
    security: [bearer],
    problems: ['unauthorized', 'not_owner', 'insufficient_scope', 'invalid_request'],
    takesKeys: true,
  },
  service: {
    security: [client, bearer],
    problems: ['invalid_client', 'insufficient_scope', 'invalid_request'],
  },
  gateway: {
    security: [{}, bearer],
    problems: [
      'unauthorized',
      'insufficient_user_authentication',
      'not_owner',
      'insufficient_scope',
      'second_factor_enrolment_required',
    ],
  },
}

/** A stranger gets the answer of a path that does not exist. */
function hidesBehind({ config }: RouteOptions, code: ProblemCode): boolean {
  return config?.hidden === true && code === 'invalid_client'
}

function stepUp({ config: { maxAge, acr } = {} }: RouteOptions): ProblemCode[] {
  return maxAge === undefined && acr === undefined ? [] : ['insufficient_user_authentication']
}

/** Only with REQUIRE_SECOND_FACTOR=all; the contract does not depend on the configuration. */
function enrolment({ config }: RouteOptions): ProblemCode[] {
  const asks = (config?.access === 'user' || config?.access === 'owner') && !config.withoutSecondFactor
  return asks ? ['second_factor_enrolment_required'] : []
}

function derivedProblems({ method, schema, config }: RouteOptions): ProblemCode[] {
  // A gateway reads any other status as a fault.
  if (config?.access === 'gateway') return ['service_unavailable']
  // Health checks have no rate limit.
  const refusal = config?.health ? 'invalid_request' : 'rate_limited'
  const codes: ProblemCode[] = [refusal, 'internal_error', 'service_unavailable']
  if (config?.idempotent) codes.push('validation_failed', 'idempotency_in_progress', 'idempotency_key_reused')
  if (schema?.params) codes.unshift('uri_too_long')
  // Fastify parses a body whether the route declares one or not.
  const readsBody = ![method].flat().some((name) => name === 'GET' || name === 'HEAD')
  if (readsBody) codes.unshift('payload_too_large', 'unsupported_media_type')
  // A form that does not match is an invalid_request (RFC 6749 section 5.2).
  const strict = schema?.body && !schema.consumes
  if (strict || schema?.params || schema?.querystring) codes.unshift('validation_failed')
  if (readsBody || schema?.params || schema?.querystring) codes.unshift('invalid_request')
  return codes
}

/** Two folders up from the source and the bundle, three from dist/. */
function packageFile(): string {
  const near = fileURLToPath(new URL('../../package.json', import.meta.url))
  return existsSync(near) ? near : '../../../package.json'
}

/** A body without required fields is optional; the generator marks every body as required. */
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
