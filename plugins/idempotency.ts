import { Type } from '@sinclair/typebox'
import type { FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { idempotencyKeyPattern, keyIn } from '../src/idempotency/header.ts'
import { type KeyedRequest, keyedRequest, type MacKeys } from '../src/idempotency/keyed-request.ts'

const withheld = Symbol('fields of the body that nothing is kept of')
const header = 'idempotency-key'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Takes an `Idempotency-Key`, and its handler hands `request.keyed` to what makes one effect of many requests. */
    idempotent?: boolean
    [withheld]?: readonly string[]
  }
  interface FastifyRequest {
    /** What the request has in common with its repetitions; null without a key. Throws where no key is taken. */
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

/** Makes `config.idempotent` a header of the route, in the contract too, and `request.keyed` of what it says. */
export default fp<{ readonly keys: MacKeys }>(
  async (app, { keys }) => {
    app.decorateRequest('keyed', {
      getter(this: FastifyRequest) {
        const { config, schema } = this.routeOptions
        if (!config[withheld]) throw new Error('this route takes no Idempotency-Key')
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

/** A hash of them, even a keyed one, would be quicker to try passwords against than the account's own. */
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
