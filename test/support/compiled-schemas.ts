import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'

/*
 * Caches compiled schemas for all Latchkey apps of a test process: compiling takes half the time of creating an app.
 */

type Controller = Parameters<FastifyInstance['setSchemaController']>[0]
type Compile = (route: unknown) => unknown
type Build = (externalSchemas: unknown, options?: unknown) => Compile

function cached(build: Build | undefined, compiled: Map<string, unknown>): Build | undefined {
  if (!build) return undefined
  return (externalSchemas, options) => {
    const scope = JSON.stringify(externalSchemas)
    let compile: Compile | undefined
    return (route) => {
      const { httpPart, httpStatus, schema } = route as Record<string, unknown>
      const key = JSON.stringify([scope, httpPart, httpStatus, schema])
      if (!compiled.has(key)) {
        compile ??= build(externalSchemas, options)
        compiled.set(key, compile(route))
      }
      return compiled.get(key)
    }
  }
}

const validators = new Map<string, unknown>()
const serializers = new Map<string, unknown>()

subscribe('fastify.initialization', (message) => {
  const { fastify: app } = message as { fastify: FastifyInstance }
  const set = app.setSchemaController.bind(app)
  app.setSchemaController = ({ compilersFactory, ...rest }) => {
    const { buildValidator, buildSerializer } = (compilersFactory ?? {}) as Record<string, Build>
    const factory = {
      buildValidator: cached(buildValidator, validators),
      buildSerializer: cached(buildSerializer, serializers),
    }
    return set({ ...rest, compilersFactory: factory } as Controller)
  }
})
