import { subscribe } from 'node:diagnostics_channel'
import type { ErrorObject, ValidateFunction } from 'ajv'
import { Ajv2020 } from 'ajv/dist/2020.js'
import formats from 'ajv-formats'
import type { FastifyInstance, FastifyReply, FastifyRequest, LightMyRequestResponse } from 'fastify'
import type { OpenAPIV3_1 } from 'openapi-types'
import tap from 'tap'
import { contract, type JsonSchema, operations } from './contract-file.ts'
import type { Test } from './postgres.ts'

/*
 * Validates every response of every Latchkey app of a test process against openapi.yaml. A diagnostics channel of
 * Fastify reports each new app, so no test can forget it.
 */

/** A response, and its request. */
export interface Sent {
  readonly method: string
  /** The path in the contract; undefined without a route. */
  readonly path: string | undefined
  readonly status: number
  readonly headers: Readonly<Record<string, unknown>>
  readonly body: string
  /** The raw request target. */
  readonly url: string
}

let report = (violation: string) => {
  tap.fail(violation, { stack: '', at: null })
}

/** Collects violations until the test ends, instead of failing the file. */
export function collectViolations(t: Test): string[] {
  const collected: string[] = []
  const before = report
  report = (violation) => collected.push(violation)
  t.teardown(() => {
    report = before
  })
  return collected
}

/** Fails the test file if openapi.yaml does not allow the response. */
export function assertConforms(sent: Sent): void {
  const violation = violationOf(sent)
  if (violation) report(`${sent.method} ${sent.url} -> ${sent.status}: ${violation}`)
}

/** The violation of openapi.yaml, if any. */
export function violationOf(sent: Sent): string | undefined {
  if (sent.status === 503 && !sent.headers['retry-after'] && !sent.body.includes('"mail_unavailable"'))
    return 'Retry-After is missing'
  const operation = sent.path === undefined ? undefined : operationOf(sent.method, sent.path)
  // For routes outside of the contract (a test's own, the pages of /docs), only errors are checked.
  if (!operation || isRefusedAsMessage(sent)) {
    return sent.status < 400 && sent.path !== undefined ? undefined : violationOfProblem(sent)
  }
  const answer = operation.responses?.[sent.status] as OpenAPIV3_1.ResponseObject | undefined
  if (!answer) return 'the status is not documented'
  return violationOfHeaders(sent, answer) ?? violationOfBody(sent, answer)
}

const problem = { $ref: '#/components/schemas/Problem' }

function violationOfProblem(sent: Sent): string | undefined {
  return violationOfBody(sent, {
    description: '',
    content: { 'application/problem+json': { schema: problem } },
  })
}

/** Refused before routing (plugins/http/framing.ts, allowed-hosts.ts). */
function isRefusedAsMessage({ status, headers, url, body }: Sent): boolean {
  if (status === 403) return body.includes('"host_not_allowed"')
  return (
    status === 417 ||
    (status === 400 && headers['connection'] === 'close') ||
    (status === 414 && url.length > 8_000)
  )
}

let byName: Map<string, OpenAPIV3_1.OperationObject> | undefined

function operationOf(method: string, path: string): OpenAPIV3_1.OperationObject | undefined {
  byName ??= new Map(operations().map((row) => [`${row.method} ${row.path}`, row.operation]))
  return byName.get(`${method === 'HEAD' ? 'GET' : method} ${path}`)
}

function violationOfHeaders({ headers }: Sent, answer: OpenAPIV3_1.ResponseObject): string | undefined {
  for (const [name, header] of Object.entries(answer.headers ?? {})) {
    const value = headers[name.toLowerCase()]
    const { type } = ((header as OpenAPIV3_1.HeaderObject).schema ?? {}) as OpenAPIV3_1.SchemaObject
    if (value !== undefined && type === 'integer' && !/^\d+$/.test(String(value)))
      return `${name} is ${value}, not an integer`
  }
  return undefined
}

function violationOfBody(sent: Sent, { content }: OpenAPIV3_1.ResponseObject): string | undefined {
  const type = String(sent.headers['content-type'] ?? '')
  // These statuses have no body.
  if (!content) return sent.status === 204 || sent.body === '' ? undefined : 'a body is not documented'
  const media = content[type.split(';')[0] ?? '']
  if (!media) return `the content type ${type || '(none)'} is not documented`
  if (sent.method === 'HEAD') return undefined
  const json = /[/+]json$/.test(type.split(';')[0] ?? '')
  return violationOfValue(json ? JSON.parse(sent.body) : sent.body, media.schema as JsonSchema)
}

const validators = new Map<string, ValidateFunction>()
let ajv: Ajv2020 | undefined

function violationOfValue(value: unknown, schema: JsonSchema): string | undefined {
  const validate = validatorOf(schema)
  return validate(value) ? undefined : validate.errors?.map(describe).join('; ')
}

/** Whether a value is valid by a schema of openapi.yaml. */
export function satisfies(value: unknown, schema: JsonSchema): boolean {
  return validatorOf(schema)(value)
}

/** Compiled lazily, and cached by the schema's JSON. */
function validatorOf(schema: JsonSchema): ValidateFunction {
  const name = JSON.stringify(schema)
  let validate = validators.get(name)
  if (!validate) {
    ajv ??= compilerOfContract()
    validate = ajv.compile(closed(rebased(schema)))
    validators.set(name, validate)
  }
  return validate
}

function compilerOfContract(): Ajv2020 {
  // OpenAPI's annotations (`example`, `discriminator`) are not keywords of JSON Schema.
  const compiler = new Ajv2020({ strict: false, allErrors: true })
  formats.default(compiler)
  for (const [name, schema] of Object.entries(contract().components?.schemas ?? {})) {
    compiler.addSchema(closed(rebased(schema as JsonSchema)), name)
  }
  return compiler
}

/** With references to the components of this compiler. */
function rebased(schema: JsonSchema): JsonSchema {
  return JSON.parse(JSON.stringify(schema).replaceAll('"#/components/schemas/', '"')) as JsonSchema
}

/** Unknown fields are violations here, though clients must ignore them. */
function closed(schema: JsonSchema, part = false): JsonSchema {
  const entries = Object.entries(schema).map(([keyword, value]) => {
    if (keyword === 'properties') return [keyword, mapValues(value as Record<string, JsonSchema>, closed)]
    if (keyword === 'items') return [keyword, closed(value as JsonSchema)]
    if (keyword === 'anyOf' || keyword === 'oneOf')
      return [keyword, (value as JsonSchema[]).map((s) => closed(s))]
    if (keyword === 'allOf') return [keyword, (value as JsonSchema[]).map((s) => closed(s, true))]
    return [keyword, value]
  })
  const open = part || !(schema['properties'] || schema['allOf']) || 'additionalProperties' in schema
  return { ...Object.fromEntries(entries), ...(open ? {} : { unevaluatedProperties: false }) }
}

function mapValues<T>(record: Record<string, T>, map: (value: T) => T): Record<string, T> {
  return Object.fromEntries(Object.entries(record).map(([name, value]) => [name, map(value)]))
}

function describe({ instancePath, message, params }: ErrorObject): string {
  return `${instancePath || 'the body'} ${message} ${JSON.stringify(params)}`
}

/** Responses checked by a hook; the others are sent where no hook runs. */
const seen = new WeakSet<object>()

subscribe('fastify.initialization', (message) => {
  const { fastify: app } = message as { fastify: FastifyInstance }
  app.addHook('onSend', (request, reply, payload, done) => {
    if (app.hasDecorator('contractYaml')) {
      seen.add(reply.raw)
      assertConforms(sentBy(request, reply, payload))
    }
    done()
  })
  const inject = app.inject.bind(app) as (options: unknown) => Promise<LightMyRequestResponse>
  const injectAndCheck = async (options: unknown) => {
    const answer = await inject(options)
    if (app.hasDecorator('contractYaml') && !seen.has(answer.raw.res)) assertConforms(unrouted(answer))
    return answer
  }
  app.inject = injectAndCheck as unknown as typeof app.inject
})

function sentBy(request: FastifyRequest, reply: FastifyReply, payload: unknown): Sent {
  return {
    method: request.method,
    path: request.is404 ? undefined : request.routeOptions.url?.replace(/:(\w+)/g, '{$1}'),
    status: reply.statusCode,
    headers: reply.getHeaders(),
    body: typeof payload === 'string' || Buffer.isBuffer(payload) ? String(payload) : '',
    url: request.url,
  }
}

function unrouted({ raw, statusCode, headers, body }: LightMyRequestResponse): Sent {
  const { method = '', url = '' } = raw.req as { method?: string; url?: string }
  return { method, path: undefined, status: statusCode, headers, body, url }
}
