import AjvCompiler, { type BuildCompilerFromPool } from '@fastify/ajv-compiler'
import { SerializerSelector } from '@fastify/fast-json-stringify-compiler'
import fp from 'fastify-plugin'
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
    const strict = { removeAdditional: false, allErrors: true, allowUnionTypes: true } as const

    const buildValidator: BuildCompilerFromPool = (externalSchemas) => {
      const body = compilers(externalSchemas, { customOptions: { ...strict, coerceTypes: false } })
      const text = compilers(externalSchemas, { customOptions: { ...strict, coerceTypes: true } })
      // What Fastify hands over is a route's definition, whatever the types of the compiler say.
      return (route) => ((route as { httpPart?: string }).httpPart === 'body' ? body : text)(route)
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
