import type { FastifyReply, FastifyRequest, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { Problem } from '../src/problem.ts'
import { assertOwned, type OwnerId, ownerOf, type Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import { assertSufficient, type Requirements, requirementsFault } from '../src/tokens/requirements.ts'
import { replyWithProblem } from './problems/reply.ts'

/** Who may call a route. `optional` uses a valid token and ignores an invalid one. */
export type Access = 'public' | 'optional' | 'user' | 'owner'

const granted = Symbol('owner')
const guarded = Symbol('guarded')

declare module 'fastify' {
  interface FastifyContextConfig extends Requirements {
    access?: Access
    [guarded]?: true
  }
  interface FastifyInstance {
    /** Default `access` of the routes of this scope, for third-party plugins, which cannot declare it. */
    accessOfScope: Access | null
    /** Scopes that routes for users declare: those that an API key can have. */
    readonly keyScopes: ReadonlySet<string>
  }
  interface FastifyRequest {
    /** The owner of the data that the request may access. Throws on a route without a guard. */
    readonly owner: OwnerId
    /** `request.user`, never null. Throws on a route without a guard. */
    readonly caller: Principal
    /** The problem of the response, for the log line: `code`, and the `reason`, which is not sent. */
    problem: Problem | null
    [granted]: OwnerId | null
  }
}

type Check = (request: FastifyRequest) => Promise<void>

interface Rule {
  /** A valid token that meets the route's requirements. */
  readonly requires?: true
  readonly onRequest?: Check
  readonly preHandler?: Check
}

const rules: Record<Access, Rule> = {
  public: {},
  optional: { onRequest: authenticateIfPossible, preHandler: forgetIfEnded },
  user: { requires: true, preHandler: grantOwn },
  owner: { requires: true, preHandler: grantOwned },
}

/**
 * Makes `config.access` the guard of every route registered after this plugin. A route that does not declare it, or
 * whose path and declaration disagree about an owner, stops the start.
 */
export default fp<{ clock: Clock }>(
  async (app, { clock }) => {
    app.decorate('accessOfScope', null)
    const keyScopes = new Set<string>()
    app.decorate('keyScopes', keyScopes)
    if (!app.hasRequestDecorator('problem')) app.decorateRequest('problem', null)
    app.decorateRequest(granted, null)
    app.decorateRequest('owner', {
      getter(this: FastifyRequest) {
        if (this[granted] === null) throw new Error('this route has no guard that grants an owner')
        return this[granted]
      },
    })
    app.decorateRequest('caller', {
      getter(this: FastifyRequest) {
        return verified(this)
      },
    })

    // onRoute misses routes that were registered before this plugin had loaded.
    app.addHook('onRequest', async ({ routeOptions: { config, method, url } }) => {
      if (config.access === undefined || config[guarded]) return
      throw new Error(`${method} ${url}: was registered before latchkeyAuth, or without await`)
    })

    app.addHook('onRoute', function (route) {
      const access = route.config?.access ?? this.accessOfScope
      const rule = ruleOf(route, access)
      route.config = { ...route.config, access: access as Access, [guarded]: true }
      const requirements = route.config
      if ((access === 'user' || access === 'owner') && requirements.scope !== undefined)
        keyScopes.add(requirements.scope)
      const onRequest = rule.requires
        ? (request: FastifyRequest) => authenticateFor(request, requirements, clock())
        : rule.onRequest
      if (onRequest) route.onRequest = [...asList(route.onRequest), hookOf(onRequest)]
      if (rule.preHandler) route.preHandler = [hookOf(rule.preHandler), ...asList(route.preHandler)]
    })
  },
  { name: 'latchkey-guard', fastify: '5.x', dependencies: ['latchkey-jwt'] },
)

/** @throws Error that names the route */
function ruleOf(route: RouteOptions, access: unknown): Rule {
  const name = `${[route.method].flat().join(',')} ${route.url}`
  // `::` is the router's escape for a literal colon.
  const namesOwner = /:user_id(?![A-Za-z0-9_])/.test(route.url.replaceAll('::', ''))
  if (typeof access !== 'string' || !Object.hasOwn(rules, access)) {
    throw new Error(`${name}: config.access must be public, optional, user or owner`)
  }
  if (access === 'owner' && !namesOwner) throw new Error(`${name}: access "owner" needs :user_id in the path`)
  if (access !== 'owner' && namesOwner) throw new Error(`${name}: a path with :user_id needs access "owner"`)
  const requirements = route.config ?? {}
  const { scope, maxAge, acr } = requirements
  if (!rules[access as Access].requires && [scope, maxAge, acr].some((value) => value !== undefined))
    throw new Error(`${name}: config.scope, maxAge and acr need access "user" or "owner"`)
  const fault = requirementsFault(requirements)
  if (fault) throw new Error(`${name}: ${fault}`)
  return rules[access as Access]
}

function asList<T>(hooks: T | T[] | undefined): T[] {
  return hooks === undefined ? [] : ([hooks].flat() as T[])
}

/** The check as a hook that sends the problem itself: the error handler of another service does not know problems. */
function hookOf(check: Check) {
  return async (request: FastifyRequest, reply: FastifyReply) => {
    try {
      await check(request)
    } catch (error) {
      if (error instanceof Problem) return replyWithProblem(error, request, reply)
      throw error
    }
    return undefined
  }
}

/**
 * Verifies the token, or answers 401 with the same body for every cause (RFC 6750 section 3).
 * @throws Problem unauthorized, invalid_request
 */
async function authenticate(request: FastifyRequest): Promise<void> {
  try {
    await request.authenticateToken()
  } catch (error) {
    throw refusalOf(error)
  }
}

/** @throws Problem unauthorized, invalid_request, insufficient_scope, insufficient_user_authentication */
async function authenticateFor(
  request: FastifyRequest,
  requirements: Requirements,
  now: number,
): Promise<void> {
  await authenticate(request)
  assertSufficient(verified(request), requirements, now)
}

/** Checked again once the body has arrived, which a slow client can delay (TOCTOU). */
function assertStillLive(request: FastifyRequest): void {
  try {
    request.assertTokenStillLive()
  } catch (error) {
    throw refusalOf(error)
  }
}

function refusalOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  const reason = error instanceof TokenRefused ? error.reason : 'signature'
  const challenge = reason === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"'
  return new Problem('unauthorized', { reason, cause: error, headers: { 'www-authenticate': challenge } })
}

async function authenticateIfPossible(request: FastifyRequest): Promise<void> {
  await request.authenticateToken().catch(() => {
    request.user = null
  })
  // A key opens only what declares its scope.
  if (request.user?.scopes !== undefined) request.user = null
}

async function forgetIfEnded(request: FastifyRequest): Promise<void> {
  try {
    request.assertTokenStillLive()
  } catch {
    request.user = null
  }
}

async function grantOwn(request: FastifyRequest): Promise<void> {
  assertStillLive(request)
  request[granted] = ownerOf(verified(request))
}

async function grantOwned(request: FastifyRequest): Promise<void> {
  assertStillLive(request)
  const { user_id: userId } = request.params as { user_id: string }
  request[granted] = assertOwned(verified(request), userId)
}

function verified(request: FastifyRequest): Principal {
  if (!request.user) throw new Error('there is no guard that has verified a token')
  return request.user
}
