import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { idempotencyKeyPattern, keyIn } from '../src/idempotency/header.ts'
import { type KeyedRequest, keyedRequest, type MacKeys } from '../src/idempotency/keyed-request.ts'

const withheld = Symbol('body fields that are not stored')
const header = 'idempotency-key'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The route accepts an `Idempotency-Key`; its handler passes `request.keyed` to `once`. */
    idempotent?: boolean
    [withheld]?: readonly string[]
  }
  interface FastifyRequest {
    /** Identifies the request and its repetitions; null without a key. Throws if the route is not idempotent. */
    readonly keyed: KeyedRequest | null
  }
}

const parameter = Type.Optional(
  Type.String({
    pattern: idempotencyKeyPattern,
    description:
      'Names what is to be done once, draft-ietf-httpapi-idempotency-key-header: for 24 hours the same key with ' +
      'the same body gets the outcome of the first request. 1 to 255 characters, quoted or not; best a UUID.',
    examples: ['"8e03978e-40d5-43e8-bc93-6894a57f9324"'],
  }),
)

/** Adds the header to routes with `config.idempotent`, in the contract too, and parses it as `request.keyed`. */
export default fp<{ readonly keys: MacKeys }>(
  async (app, { keys }) => {
    app.decorateRequest('keyed', {
      getter(this: FastifyRequest) {
        const { config, schema } = this.routeOptions
        if (!config[withheld]) throw new Error('this route does not accept an Idempotency-Key')
        const value = this.headers[header]
        if (typeof value !== 'string') return null
        const operation = (schema as { operationId?: string }).operationId as string
        return keyedRequest(keys, {
          operation,
          key: keyIn(value),
          body: without(this.body, config[withheld]),
        })
      },
    })
    app.addHook('onRoute', function (route) {
      if (!route.config?.idempotent) return
      const { schema = {} } = route
      if (!schema.operationId) throw new Error(`${route.url}: config.idempotent needs schema.operationId`)
      const headers = (schema.headers ?? Type.Object({})) as { properties: object }
      route.config = { ...route.config, [withheld]: passwordFields(this, route) } as typeof route.config
      route.schema = {
        ...schema,
        headers: { ...headers, properties: { ...headers.properties, [header]: parameter } },
      }
    })
  },
  { name: 'latchkey-idempotency', fastify: '5.x' },
)

/** Even a keyed hash of them would be faster to brute-force than the password hash. */
function passwordFields(scope: FastifyInstance, { schema }: RouteOptions): string[] {
  const body = schema?.body as { $ref?: string; properties?: object } | undefined
  const { properties = {} } = ((body?.$ref ? scope.getSchema(body.$ref.replace(/#$/, '')) : body) ?? {}) as {
    properties?: Record<string, { format?: string }>
  }
  return Object.keys(properties).filter((name) => properties[name]?.format === 'password')
}

function without(body: unknown, fields: readonly string[]): unknown {
  if (fields.length === 0) return body
  return Object.fromEntries(Object.entries(body as object).filter(([name]) => !fields.includes(name)))
}
