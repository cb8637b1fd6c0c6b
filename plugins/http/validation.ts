import type { Readable } from 'node:stream'
import AjvCompiler, { type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { storable, storableUnchanged } from '../../src/db/storable.ts'
import { isJsonInUtf8 } from '../../src/http/json-media-type.ts'
import { parseStrictJson } from '../../src/http/strict-json.ts'
import { Problem } from '../../src/problem.ts'

/**
 * What a request must be before a handler sees it. Bodies: strict JSON, nothing coerced, nothing stripped. Path
 * and query: text by nature, so coerced to the declared type and nothing more.
 */
export default fp(
  async (app) => {
    const compilers = AjvCompiler()
    const customOptions = {
      coerceTypes: false,
      removeAdditional: false,
      allErrors: true,
      allowUnionTypes: true,
      // Holding our own schemas against JSON Schema's costs more at the start than all else that is done with them;
      // unknown keywords are still refused.
      validateSchema: false,
      code: { regExp: patternInForce },
    }

    const buildValidator: BuildCompilerFromPool = (externalSchemas) => {
      const compile = compilers(externalSchemas, { customOptions })
      return (route) => {
        // What Fastify hands over is a route's definition, whatever the types of the compiler say.
        const { httpPart, schema } = route as { httpPart?: string; schema: TextSchema }
        const validate = compile(route)
        return httpPart === 'params' || httpPart === 'querystring' ? readingText(validate, schema) : validate
      }
    }

    app.setSchemaController({
      compilersFactory: {
        buildValidator,
        buildSerializer(externalSchemas, options) {
          const compile = SerializerSelector()(externalSchemas, options)
          // Problems are written by the error handler; compiling their schemas would only cost start-up time.
          return (route) => (Number(route.httpStatus) >= 400 ? JSON.stringify : compile(route))
        },
      },
    })

    // The framework asks for the type first; one that is not JSON may be that of no content (RFC 9110 section 8.3).
    app.addHook('preParsing', (request, _reply, payload, done) => {
      const { headers } = request
      const type = headers['content-type']
      if (type !== undefined) {
        if (isJsonInUtf8(type)) headers['content-type'] = 'application/json'
        else delete headers['content-type']
      }
      done(null, payload)
    })

    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      // Where a body is needed, validation asks for it.
      if (body.length === 0) return done(null, undefined)
      // `identity` is no coding (RFC 9110 section 8.4).
      if ((request.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
        return done(new Problem('unsupported_media_type'))
      try {
        done(null, parseStrictJson(body as Buffer))
      } catch (error) {
        done(new Problem('invalid_request', { reason: (error as Error).message }))
      }
    })
    app.addContentTypeParser('*', ({ headers }: FastifyRequest, payload: Readable) =>
      // Not read to find out what is announced: the sender may be waiting for the answer.
      Number(headers['content-length']) > 0
        ? Promise.reject(new Problem('unsupported_media_type'))
        : assertEmpty(payload),
    )
  },
  { name: 'latchkey-validation', fastify: '5.x' },
)

/** Compiles a pattern of the contract; the stricter one where the contract keeps to what all engines read. */
const patternInForce = Object.assign(
  (pattern: string, flags: string) => new RegExp(pattern === storable ? storableUnchanged : pattern, flags),
  // For Ajv's standalone code, which is not used here.
  { code: 'new RegExp' },
)

/** @throws Problem unsupported_media_type at the first byte */
function assertEmpty(payload: Readable): Promise<void> {
  return new Promise((resolve, reject) => {
    payload.once('data', () => {
      payload.pause()
      reject(new Problem('unsupported_media_type'))
    })
    payload.once('end', resolve)
    payload.once('error', (cause) =>
      reject(new Problem('invalid_request', { reason: 'body_incomplete', cause })),
    )
  })
}

interface TextSchema {
  readonly properties?: Readonly<Record<string, { readonly type?: string }>>
}

interface Validator {
  (data: Record<string, unknown>): boolean
  errors?: unknown
}

/** The one spelling of a value of each type. Ajv's own coercion takes ` 1`, `01`, `0x1`, `1e0` and `Infinity` too. */
const readers: Record<string, (text: string) => unknown> = {
  integer: (text) => (/^(0|-?[1-9]\d{0,15})$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' ? true : text === 'false' ? false : text),
}

/** Reads each text as the type that its schema declares; what cannot be read stays text, for `validate` to refuse. */
function readingText<T>(compiled: T, { properties = {} }: TextSchema): T {
  const validate = compiled as Validator
  const reading: Validator = (data) => {
    for (const [name, { type = '' }] of Object.entries(properties)) {
      const text = data[name]
      if (typeof text === 'string') data[name] = readers[type]?.(text) ?? text
    }
    const valid = validate(data)
    reading.errors = validate.errors
    return valid
  }
  return reading as T
}
