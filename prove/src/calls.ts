import { randomUUID } from 'node:crypto'
import { encoded } from './bodies.ts'
import { sampleOf } from './generate.ts'
import { type Operation, type Parameter, plain } from './operations.ts'
import type { Resolve } from './schema.ts'
import type { Answer, Service } from './service.ts'

/** Values of path parameters, by name. */
export type Values = ReadonlyMap<string, string>

export interface Call {
  readonly values: Values
  /** Undefined: the request has none. */
  readonly token: string | undefined
  /** The body before it is encoded; undefined: the request has none. */
  readonly content?: unknown
  readonly query?: Readonly<Record<string, string>>
  readonly headers?: Readonly<Record<string, string>>
  /** The ETag of what a conditional request is about. */
  readonly etag?: string | undefined
  /** Sends HEAD in place of GET. */
  readonly head?: boolean
}

/** Makes requests of operations: what the document requires is in each of them. */
export class Calls {
  readonly #service: Service
  readonly #resolve: Resolve
  readonly #ownerParam: string

  constructor(service: Service, resolve: Resolve, ownerParam: string) {
    this.#service = service
    this.#resolve = resolve
    this.#ownerParam = ownerParam
  }

  send(operation: Operation, call: Call): Promise<Answer> {
    const { values, token, content, query = {}, headers = {}, head = false } = call
    const path = operation.path.replace(/\{([^{}]+)\}/g, (_, name) =>
      encodeURIComponent(values.get(name) ?? ''),
    )
    const required = (where: Parameter['in']) =>
      operation.parameters.filter((parameter) => parameter.in === where && parameter.required)
    const search = new URLSearchParams()
    for (const parameter of required('query')) search.set(parameter.name, this.#textOf(parameter, call))
    for (const [name, value] of Object.entries(query)) search.set(name, value)
    const sent = required('header')
      .filter(({ name }) => !/^(accept|authorization|content-type)$/i.test(name))
      .filter(({ name }) => name.toLowerCase() !== operation.place.name.toLowerCase())
      .map((parameter) => [parameter.name, this.#textOf(parameter, call)] as const)
    const { body, ...withBody } =
      content === undefined || !operation.body ? { headers: {} } : encoded(content, operation.body)
    return this.#service.send({
      method: head ? 'HEAD' : operation.method,
      serverPath: operation.serverPath,
      target: `${path}${search.size > 0 ? `?${search}` : ''}`,
      headers: {
        ...Object.fromEntries(sent),
        ...(call.etag === undefined ? {} : { 'if-match': call.etag }),
        ...withBody.headers,
        ...headers,
      },
      cookies: required('cookie').map((parameter) => `${parameter.name}=${this.#textOf(parameter, call)}`),
      body,
      token,
      place: operation.place,
    })
  }

  #textOf({ name, schema, examples }: Parameter, { values, etag }: Call): string {
    if (/^if-match$/i.test(name)) return etag ?? '*'
    if (/^idempotency-key$/i.test(name)) return randomUUID()
    if (plain(name) === plain(this.#ownerParam)) return values.get(this.#ownerParam) ?? ''
    const value = examples[0] ?? sampleOf(schema, this.#resolve)
    return typeof value === 'object' ? [value].flat().join(',') : String(value)
  }
}
