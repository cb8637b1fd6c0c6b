import type { FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Problem, type ProblemCode } from '../src/problem.ts'
import { assertOwned, type OwnerId, ownerOf } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import { documentProblems } from './contract/problem-answers.ts'
import { ProblemSchema } from './contract/schemas.ts'

/** Who may call a route. `optional` reads a token where there is a good one and never fails. */
export type Access = 'public' | 'optional' | 'user' | 'owner'

const granted = Symbol('owner')

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
  }
  interface FastifyInstance {
    /** Says for every route of this scope that does not say itself; for third-party plugins, which cannot. */
    accessOfScope: Access | null
  }
  interface FastifyRequest {
    /** Whose data the request may touch. Throws on a route without a guard. */
    readonly owner: OwnerId
    [granted]: OwnerId | null
  }
}

interface Rule {
  readonly onRequest?: (request: FastifyRequest) => Promise<void>
  readonly preHandler?: (request: FastifyRequest) => Promise<void>
  /** OpenAPI security requirement. */
  readonly security: readonly Record<string, string[]>[]
  readonly problems: readonly ProblemCode[]
}

const bearer = { bearer: [] }

const rules: Record<Access, Rule> = {
  public: { security: [], problems: [] },
  optional: { onRequest: authenticateIfPossible, security: [{}, bearer], problems: [] },
  user: { onRequest: authenticate, preHandler: grantOwn, security: [bearer], problems: ['unauthorized'] },
  owner: {
    onRequest: authenticate,
    preHandler: grantOwned,
    security: [bearer],
    problems: ['unauthorized', 'not_owner'],
  },
}

/**
 * Makes `config.access` the guard of every route registered after this plugin: the hooks, the OpenAPI security and
 * the 401 and 403 answers all come from it. A route that does not declare it, or whose path and declaration
 * disagree about an owner, stops the start.
 */
export default fp(
  async (app) => {
    // The answers below refer to it; an app without the contract plugin has it from here.
    if (!app.getSchema('Problem')) app.addSchema(ProblemSchema)
    app.decorate('accessOfScope', null)
    app.decorateRequest(granted, null)
    app.decorateRequest('owner', {
      getter(this: FastifyRequest) {
        if (this[granted] === null) throw new Error('this route has no guard that grants an owner')
        return this[granted]
      },
    })

    app.addHook('onRoute', function (route) {
      const access = route.config?.access ?? this.accessOfScope
      const rule = ruleOf(route, access)
      route.config = { ...route.config, access: access as Access }
      if (rule.onRequest) route.onRequest = [...asList(route.onRequest), rule.onRequest]
      if (rule.preHandler) route.preHandler = [rule.preHandler, ...asList(route.preHandler)]
      route.schema = { ...route.schema, security: rule.security }
      documentProblems(route, rule.problems)
    })
  },
  { name: 'latchkey-guard', fastify: '5.x', dependencies: ['latchkey-jwt'] },
)

/** @throws Error that names the route */
function ruleOf(route: RouteOptions, access: unknown): Rule {
  const name = `${[route.method].flat().join(',')} ${route.url}`
  const namesOwner = /\/:user_id(?![A-Za-z0-9_])/.test(route.url)
  if (typeof access !== 'string' || !Object.hasOwn(rules, access)) {
    throw new Error(`${name}: config.access must be public, optional, user or owner`)
  }
  if (access === 'owner' && !namesOwner) throw new Error(`${name}: access "owner" needs :user_id in the path`)
  if (access !== 'owner' && namesOwner) throw new Error(`${name}: a path with :user_id needs access "owner"`)
  return rules[access as Access]
}

function asList<T>(hooks: T | T[] | undefined): T[] {
  return hooks === undefined ? [] : ([hooks].flat() as T[])
}

/**
 * Verifies the token, or answers 401: one body and one challenge for every cause (RFC 6750 section 3).
 * @throws Problem unauthorized, invalid_request
 */
async function authenticate(request: FastifyRequest): Promise<void> {
  try {
    await request.authenticateToken()
  } catch (error) {
    if (error instanceof Problem) throw error
    const reason = error instanceof TokenRefused ? error.reason : 'signature'
    const challenge = reason === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"'
    throw new Problem('unauthorized', { reason, cause: error, headers: { 'www-authenticate': challenge } })
  }
}

async function authenticateIfPossible(request: FastifyRequest): Promise<void> {
  await request.authenticateToken().catch(() => {
    request.user = null
  })
}

async function grantOwn(request: FastifyRequest): Promise<void> {
  request[granted] = ownerOf(verified(request))
}

async function grantOwned(request: FastifyRequest): Promise<void> {
  const { user_id: userId } = request.params as { user_id: string }
  request[granted] = assertOwned(verified(request), userId)
}

function verified(request: FastifyRequest) {
  if (!request.user) throw new Error('the guard ran without a verified token')
  return request.user
}
