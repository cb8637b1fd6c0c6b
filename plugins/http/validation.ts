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
 * Validates requests. Bodies are strict JSON, nothing coerced, nothing stripped. Path and query parameters are converted
 * to the declared type.
 */
export default fp(
  async (app) => {
    const compilers = AjvCompiler()
    const customOptions = {
      coerceTypes: false,
      removeAdditional: false,
      allErrors: true,
      allowUnionTypes: true,
      // Meta-schema validation of our own schemas dominates the start; unknown keywords are still refused.
      validateSchema: false,
      code: { regExp: patternInForce },
    }

    const buildValidator: BuildCompilerFromPool = (externalSchemas) => {
      const compile = compilers(externalSchemas, { customOptions })
      return (route) => {
        // Fastify passes a route's definition, whatever the types of the compiler say.
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
          // Problems are serialized by the error handler; compiling their schemas would slow the start.
          return (route) => (Number(route.httpStatus) >= 400 ? JSON.stringify : compile(route))
        },
      },
    })

    // Without content, any type is accepted (RFC 9110 section 8.3), so the parsers below decide.
    app.addHook('onRequest', ({ headers }, _reply, done) => {
      const type = headers['content-type']
      if (type !== undefined) {
        if (isJsonInUtf8(type)) headers['content-type'] = 'application/json'
        else delete headers['content-type']
      }
      done()
    })

    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      // Validation refuses it where a body is required.
      if (body.length === 0) return done(null, undefined)
      // `identity` means no coding (RFC 9110 section 8.4).
      if ((request.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity')
        return done(new Problem('unsupported_media_type'))
      try {
        done(null, parseStrictJson(body as Buffer))
      } catch (error) {
        done(new Problem('invalid_request', { reason: (error as Error).message }))
      }
    })
    app.addContentTypeParser('*', ({ headers }: FastifyRequest, payload: Readable) =>
      // Refused unread: the client may wait for the response before it sends the body.
      Number(headers['content-length']) > 0
        ? Promise.reject(new Problem('unsupported_media_type'))
        : assertEmpty(payload),
    )
  },
  { name: 'latchkey-validation', fastify: '5.x' },
)

/** Compiles a pattern; a stricter one than the contract's where not all regex engines support that. */
const patternInForce = Object.assign(
  (pattern: string, flags: string) => new RegExp(pattern === storable ? storableUnchanged : pattern, flags),
  // Required by Ajv, for standalone code only.
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

/** Canonical spellings only: Ajv's coercion accepts ` 1`, `01`, `0x1`, `1e0` and `Infinity` too. */
const readers: Record<string, (text: string) => unknown> = {
  integer: (text) => (/^(0|-?[1-9]\d{0,15})$/.test(text) ? Number(text) : text),
  boolean: (text) => (text === 'true' ? true : text === 'false' ? false : text),
}

/** Converts each text to its declared type; an invalid one stays text, which `validate` refuses. */
function readingText<T>(compiled: T, { properties = {} }: TextSchema): T {
  const validate = compiled as Validator
  const read = Object.entries(properties).flatMap(([name, { type = '' }]) => {
    const reader = readers[type]
    return reader ? [{ name, reader }] : []
  })
  const reading: Validator = (data) => {
    for (const { name, reader } of read) {
      const text = data[name]
      if (typeof text === 'string') data[name] = reader(text)
    }
    const valid = validate(data)
    reading.errors = validate.errors
    return valid
  }
  return reading as T
}
