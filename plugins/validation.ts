import AjvCompiler, { type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import fp from 'fastify-plugin'
import { storable, storableUnchanged } from '../src/db/storable.ts'
import { Problem } from '../src/problem.ts'
import { parseStrictJson } from '../src/strict-json.ts'

/** `application/json`, in UTF-8 if it says anything: every other spelling is for another parser to argue about. */
const jsonMediaType = /^application\/json(; ?charset="?utf-8"?)?$/i

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

    app.removeAllContentTypeParsers()
    app.addContentTypeParser('application/json', { parseAs: 'buffer' }, (request, body, done) => {
      if (!jsonMediaType.test(request.headers['content-type'] ?? '')) {
        return done(new Problem('unsupported_media_type'))
      }
      if (request.headers['content-encoding'] !== undefined)
        return done(new Problem('unsupported_media_type'))
      // Clients send the header on a DELETE without a body too; where a body is needed, validation asks for it.
      if (body.length === 0) return done(null, undefined)
      try {
        done(null, parseStrictJson(body as Buffer))
      } catch (error) {
        done(new Problem('invalid_request', { reason: (error as Error).message }))
      }
    })
  },
  { name: 'latchkey-validation', fastify: '5.x' },
)

/** Compiles a pattern of the contract; the stricter one where the contract keeps to what all engines read. */
const patternInForce = Object.assign(
  (pattern: string, flags: string) => new RegExp(pattern === storable ? storableUnchanged : pattern, flags),
  // For Ajv's standalone code, which is not used here.
  { code: 'new RegExp' },
)

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
