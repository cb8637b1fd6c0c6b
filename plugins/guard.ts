import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { Problem } from '../src/problem.ts'
import { assertOwned, type OwnerId, ownerOf, type Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import { replyWithProblem } from './problems/reply.ts'

/** Who may call a route. `optional` uses a valid token and ignores an invalid one. */
export type Access = 'public' | 'optional' | 'user' | 'owner'

const granted = Symbol('owner')
const guarded = Symbol('guarded')

declare module 'fastify' {
  interface FastifyContextConfig {
    access?: Access
    [guarded]?: true
  }
  interface FastifyInstance {
    /** Default `access` of the routes of this scope, for third-party plugins, which cannot declare it. */
    accessOfScope: Access | null
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

/** Throws or rejects to refuse. Without a promise where it need not wait: it runs for each request. */
type Check = (request: FastifyRequest) => Promise<void> | undefined

interface Rule {
  readonly onRequest?: Check
  readonly preHandler?: Check
}

const rules: Record<Access, Rule> = {
  public: {},
  optional: { onRequest: authenticateIfPossible, preHandler: forgetIfEnded },
  user: { onRequest: authenticate, preHandler: grantOwn },
  owner: { onRequest: authenticate, preHandler: grantOwned },
}

/**
 * Makes `config.access` the guard of every route registered after this plugin. A route that does not declare it, or
 * whose path and declaration disagree about an owner, stops the start.
 */
export default fp(
  async (app) => {
    app.decorate('accessOfScope', null)
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
    app.addHook('onRequest', ({ routeOptions: { config, method, url } }, _reply, done) => {
      if (config.access === undefined || config[guarded]) done()
      else done(new Error(`${method} ${url}: was registered before latchkeyAuth, or without await`))
    })

    app.addHook('onRoute', function (route) {
      const access = route.config?.access ?? this.accessOfScope
      const rule = ruleOf(route, access)
      route.config = { ...route.config, access: access as Access, [guarded]: true }
      if (rule.onRequest) route.onRequest = [...asList(route.onRequest), hookOf(rule.onRequest)]
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
  return rules[access as Access]
}

function asList<T>(hooks: T | T[] | undefined): T[] {
  return hooks === undefined ? [] : ([hooks].flat() as T[])
}

/** The check as a hook that sends the problem itself: the error handler of another service does not know problems. */
function hookOf(check: Check) {
  return (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
    const refuse = (error: Error) => {
      if (error instanceof Problem) replyWithProblem(error, request, reply)
      else done(error)
    }
    let checking: Promise<void> | undefined
    try {
      checking = check(request)
    } catch (error) {
      refuse(error as Error)
      return
    }
    if (checking) checking.then(() => done(), refuse)
    else done()
  }
}

/**
 * Verifies the token, or answers 401 with the same body for every cause (RFC 6750 section 3).
 * @throws Problem unauthorized, invalid_request
 */
function authenticate(request: FastifyRequest): Promise<void> | undefined {
  try {
    return request.authenticateToken()?.catch((error: unknown) => {
      throw refusalOf(error)
    })
  } catch (error) {
    throw refusalOf(error)
  }
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

function authenticateIfPossible(request: FastifyRequest): Promise<void> | undefined {
  const forget = () => {
    request.user = null
  }
  try {
    return request.authenticateToken()?.catch(forget)
  } catch {
    forget()
    return undefined
  }
}

function forgetIfEnded(request: FastifyRequest): undefined {
  try {
    request.assertTokenStillLive()
  } catch {
    request.user = null
  }
}

function grantOwn(request: FastifyRequest): undefined {
  assertStillLive(request)
  request[granted] = ownerOf(verified(request))
}

function grantOwned(request: FastifyRequest): undefined {
  assertStillLive(request)
  const { user_id: userId } = request.params as { user_id: string }
  request[granted] = assertOwned(verified(request), userId)
}

function verified(request: FastifyRequest): Principal {
  if (!request.user) throw new Error('there is no guard that has verified a token')
  return request.user
}
