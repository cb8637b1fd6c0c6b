import type { FastifyReply, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { Problem } from '../../src/problem.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether any route has the path of a request target. */
    hasPath(target: string): boolean
  }
}

interface Resource {
  readonly pattern: readonly string[]
  readonly methods: Set<string>
  readonly hidden: boolean
}

/** Longest path parameter, in characters. */
const maxParamLength = 255

/**
 * Answers 405 with the methods of the path, or 404, before the body is read. Counts against the address, so that probing
 * for paths is limited too.
 */
export default fp(
  async (app) => {
    const resources = new Map<string, Resource>()
    app.addHook('onRoute', ({ method, url, config: { hidden = false } = {} }) => {
      const resource = resources.get(url) ?? { pattern: url.split('/'), methods: new Set(), hidden }
      for (const name of [method].flat()) resource.methods.add(name)
      resources.set(url, resource)
    })

    function resourcesAt(url: string): Resource[] {
      const path = url.replace(/[?#].*$/s, '').split('/')
      return [...resources.values()].filter(({ pattern }) => matches(pattern, path))
    }

    app.decorate('hasPath', (target) => resourcesAt(target).length > 0)

    function problemAt({ method, url }: FastifyRequest): Problem {
      const found = resourcesAt(url).filter(({ hidden }) => !hidden)
      const methods = [...new Set(found.flatMap(({ methods }) => [...methods]))].sort()
      if (methods.length === 0 || methods.includes(method)) return new Problem('not_found')
      return new Problem('method_not_allowed', { headers: { allow: methods.join(', ') } })
    }

    // Absent when RATE_LIMITS=off.
    const limit = app.hasDecorator('rateLimit') ? app.rateLimit() : undefined
    async function refuse(request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> {
      await limit?.call(app, request, reply)
      if (request.is404) throw problemAt(request)
      reply.callNotFound()
      return reply
    }

    app.decorateReply('limitUnknownPath', async function (this: FastifyReply) {
      await limit?.call(app, this.request, this)
    })

    app.addHook('onRequest', (request, reply, done) => {
      // Not by the router, which would answer for a hidden path as well.
      if (hasLongParameter(request)) throw new Problem('uri_too_long')
      // The router matches an empty segment as a parameter; no resource has an empty name.
      if (request.is404 || hasEmptyParameter(request)) return refuse(request, reply)
      return done()
    })
    // For `reply.callNotFound()` in a handler.
    app.setNotFoundHandler(async (request) => {
      throw problemAt(request)
    })
  },
  { name: 'latchkey-not-found', fastify: '5.x', dependencies: ['latchkey-errors', 'latchkey-rate-limit'] },
)

function hasLongParameter({ params, routeOptions }: FastifyRequest): boolean {
  if (routeOptions.config.hidden) return false
  for (const name in params as Record<string, string>) {
    if (((params as Record<string, string>)[name] ?? '').length > maxParamLength && name !== '*') return true
  }
  return false
}

function hasEmptyParameter({ params }: FastifyRequest): boolean {
  for (const name in params as Record<string, string>) {
    if ((params as Record<string, string>)[name] === '' && name !== '*') return true
  }
  return false
}

/** Patterns have `:name` segments, and `*` as the last one. */
function matches(pattern: readonly string[], path: readonly string[]): boolean {
  const open = pattern.at(-1) === '*'
  if (open ? path.length < pattern.length : path.length !== pattern.length) return false
  return pattern.every(
    (part, at) => part === '*' || (part.startsWith(':') ? path[at] !== '' : part === path[at]),
  )
}
