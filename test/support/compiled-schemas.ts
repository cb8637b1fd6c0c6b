import { subscribe } from 'node:diagnostics_channel'
import type { FastifyInstance } from 'fastify'

/*
 * Caches compiled schemas for all Latchkey apps of a test process: compiling takes half the time of creating an app.
 */

type Controller = Parameters<FastifyInstance['setSchemaController']>[0]
type Compile = (route: unknown) => unknown
type Build = (externalSchemas: Readonly<Record<string, object>>, options?: unknown) => Compile

/** A short name for each text: those of schemas are long. */
const names = new Map<string, number>()

function nameOf(text: string): number {
  const name = names.get(text) ?? names.size
  names.set(text, name)
  return name
}

/** All plugins of an app share its schemas, each in a set of its own. */
const namesOfSchemas = new WeakMap<object, number>()

function nameOfSchema(schema: object): number {
  const name = namesOfSchemas.get(schema) ?? nameOf(JSON.stringify(schema))
  namesOfSchemas.set(schema, name)
  return name
}

const scopeOf = (externalSchemas: Readonly<Record<string, object>>): number =>
  nameOf(Object.values(externalSchemas).map(nameOfSchema).join())

function cached(build: Build | undefined, compiled: Map<string, unknown>): Build | undefined {
  if (!build) return undefined
  return (externalSchemas, options) => {
    const scope = scopeOf(externalSchemas)
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
