import type { FastifyReply, FastifyRequest, HookHandlerDoneFunction, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { Problem } from '../src/problem.ts'
import { assertOwned, type OwnerId, ownerOf, type Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import {
  assertEnrolled,
  assertSufficient,
  type Requirements,
  requirementsFault,
  type SecondFactorRule,
} from '../src/tokens/requirements.ts'
import { replyWithProblem } from './problems/reply.ts'

/**
 * Who may call a route. `optional` uses a valid token and ignores an invalid one; `service` is a service client with
 * `config.scope`; `gateway` answers a gateway's question, whose parameters say who passes.
 */
export type Access = 'public' | 'optional' | 'user' | 'owner' | 'service' | 'gateway'

const granted = Symbol('owner')
const guarded = Symbol('guarded')

declare module 'fastify' {
  interface FastifyContextConfig extends Requirements {
    access?: Access
    /** Serves an account that has yet to set up the second factor that the service requires. */
    withoutSecondFactor?: boolean
    /** With access `service`: whoever is no service client gets the answer of a path that does not exist. */
    hidden?: boolean
    [guarded]?: true
  }
  interface FastifyInstance {
    /** Default `access` of the routes of this scope, for third-party plugins, which cannot declare it. */
    accessOfScope: Access | null
    /** Scopes that routes for users declare: those that an API key can have. */
    readonly keyScopes: ReadonlySet<string>
  }
  interface FastifyReply {
    /**
     * Counts the request as one for a path that does not exist.
     * @throws Problem rate_limited
     */
    limitUnknownPath?(): Promise<void>
  }
  interface FastifyRequest {
    /** The owner of the data that the request may access. Throws on a route without a guard. */
    readonly owner: OwnerId
    /** `request.user`, never null. Throws on a route without a guard. */
    readonly caller: Principal
    /** The problem of the response, for the log line: `code`, and the `reason`, which is not sent. */
    problem: Problem | null
    /** The guard of access `gateway`, in the service itself only. */
    verifyForGateway?(): Promise<void>
    [granted]: OwnerId | null
  }
}

/** Throws or rejects to refuse. Without a promise where it need not wait: it runs for each request. */
type Check = (request: FastifyRequest) => Promise<void> | undefined

/** What a route asks of a token. */
interface Demands {
  readonly asked: SecondFactorRule
  readonly hidden: boolean
  readonly requirements: Requirements
  readonly now: number
}

interface Rule {
  /** What `config` may ask for. */
  readonly requirements: readonly (keyof Requirements)[]
  readonly onRequest?: (request: FastifyRequest, demands: Demands) => Promise<void> | undefined
  readonly preHandler?: Check
}

const ofUser = ['scope', 'maxAge', 'acr'] as const

const rules: Record<Access, Rule> = {
  public: { requirements: [] },
  optional: { requirements: [], onRequest: authenticateIfPossible, preHandler: forgetIfEnded },
  user: { requirements: ofUser, onRequest: authenticateFor, preHandler: grantOwn },
  owner: { requirements: ofUser, onRequest: authenticateFor, preHandler: grantOwned },
  service: { requirements: ['scope'], onRequest: authenticateService, preHandler: assertServiceStillLive },
  gateway: { requirements: [], onRequest: verifyForGateway },
}

interface GuardOptions {
  readonly clock: Clock
  /** Of whom this service asks a second factor. */
  readonly secondFactor?: SecondFactorRule | undefined
}

/**
 * Makes `config.access` the guard of every route registered after this plugin. A route that does not declare it, or
 * whose path and declaration disagree about an owner, stops the start.
 */
export default fp<GuardOptions>(
  async (app, { clock, secondFactor = 'off' }) => {
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
    app.addHook('onRequest', ({ routeOptions: { config, method, url } }, _reply, done) => {
      if (config.access === undefined || config[guarded]) done()
      else done(new Error(`${method} ${url}: was registered before latchkeyAuth, or without await`))
    })

    app.addHook('onRoute', function (route) {
      const access = route.config?.access ?? this.accessOfScope
      const rule = ruleOf(route, access)
      if (access === 'gateway' && !this.hasRequestDecorator('verifyForGateway'))
        throw new Error(`${route.url}: access "gateway" needs request.verifyForGateway`)
      route.config = { ...route.config, access: access as Access, [guarded]: true }
      const requirements = route.config
      if ((access === 'user' || access === 'owner') && requirements.scope !== undefined)
        keyScopes.add(requirements.scope)
      const asked = route.config.withoutSecondFactor ? 'off' : secondFactor
      const hidden = route.config.hidden ?? false
      const { onRequest, preHandler } = rule
      if (onRequest) {
        const check: Check = (request) => onRequest(request, { asked, hidden, requirements, now: clock() })
        route.onRequest = [...asList(route.onRequest), hookOf(check, hidden)]
      }
      if (preHandler) route.preHandler = [hookOf(preHandler), ...asList(route.preHandler)]
    })
  },
  { name: 'latchkey-guard', fastify: '5.x', dependencies: ['latchkey-jwt', 'latchkey-services'] },
)

/** @throws Error that names the route */
function ruleOf(route: RouteOptions, access: unknown): Rule {
  const name = `${[route.method].flat().join(',')} ${route.url}`
  // `::` is the router's escape for a literal colon.
  const namesOwner = /:user_id(?![A-Za-z0-9_])/.test(route.url.replaceAll('::', ''))
  if (typeof access !== 'string' || !Object.hasOwn(rules, access)) {
    throw new Error(`${name}: config.access must be public, optional, user, owner or service`)
  }
  if (access === 'owner' && !namesOwner) throw new Error(`${name}: access "owner" needs :user_id in the path`)
  if (access !== 'owner' && access !== 'service' && namesOwner)
    throw new Error(`${name}: a path with :user_id needs access "owner" or "service"`)
  const requirements = route.config ?? {}
  const { requirements: allowed } = rules[access as Access]
  for (const each of ofUser) {
    if (requirements[each] === undefined || allowed.includes(each)) continue
    const needed = each === 'scope' ? '"user", "owner" or "service"' : '"user" or "owner"'
    throw new Error(`${name}: config.${each} needs access ${needed}`)
  }
  if (access === 'service' && requirements.scope === undefined)
    throw new Error(`${name}: access "service" needs config.scope`)
  if (route.config?.withoutSecondFactor && allowed !== ofUser)
    throw new Error(`${name}: config.withoutSecondFactor needs access "user" or "owner"`)
  if (requirements.hidden && access !== 'service')
    throw new Error(`${name}: config.hidden needs access "service"`)
  const fault = requirementsFault(requirements)
  if (fault) throw new Error(`${name}: ${fault}`)
  return rules[access as Access]
}

function asList<T>(hooks: T | T[] | undefined): T[] {
  return hooks === undefined ? [] : ([hooks].flat() as T[])
}

/** The check as a hook that sends the problem itself: the error handler of another service does not know problems. */
function hookOf(check: Check, hidden = false) {
  return (request: FastifyRequest, reply: FastifyReply, done: HookHandlerDoneFunction) => {
    const send = (error: Error) => {
      if (error instanceof Problem) replyWithProblem(error, request, reply)
      else done(error)
    }
    // Limited as a path that does not exist is.
    const refuse = (error: Error) => {
      if (hidden && error instanceof Problem && error.code === 'not_found')
        Promise.resolve(reply.limitUnknownPath?.()).then(() => send(error), send)
      else send(error)
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

/**
 * @throws Problem unauthorized, invalid_request, second_factor_enrolment_required, insufficient_scope,
 * insufficient_user_authentication
 */
function authenticateFor(
  request: FastifyRequest,
  { asked, requirements, now }: Demands,
): Promise<void> | undefined {
  const sufficientOnly = () => {
    const user = verified(request)
    // First: without a factor, stepping up is impossible.
    assertEnrolled(user, asked)
    assertSufficient(user, requirements, now)
  }
  const authenticating = authenticate(request)
  if (authenticating) return authenticating.then(sufficientOnly)
  sufficientOnly()
  return undefined
}

/** Where the route is hidden, only a client of this service is told that it lacks the scope. */
async function authenticateService(
  request: FastifyRequest,
  { hidden, requirements: { scope = '' } }: Demands,
): Promise<void> {
  if (!hidden) return request.authenticateService(scope)
  try {
    await request.authenticateService(scope, { countsFailures: false })
  } catch (error) {
    if (request.service || !(error instanceof Problem)) throw error
    throw new Problem('not_found', { reason: error.reason ?? error.code, cause: error })
  }
}

function assertServiceStillLive(request: FastifyRequest): undefined {
  try {
    request.assertServiceStillLive()
  } catch (error) {
    if (!request.routeOptions.config.hidden) throw error
    throw new Problem('not_found', { reason: 'expired', cause: error })
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

/** The answer to whatever refused a token: 401 for every cause that is no problem already. */
export function refusalOf(error: unknown): Problem {
  if (error instanceof Problem) return error
  const reason = error instanceof TokenRefused ? error.reason : 'signature'
  const challenge = reason === 'missing' ? 'Bearer' : 'Bearer error="invalid_token"'
  return new Problem('unauthorized', { reason, cause: error, headers: { 'www-authenticate': challenge } })
}

async function verifyForGateway(request: FastifyRequest): Promise<void> {
  if (!request.verifyForGateway) throw new Error('there is no guard for gateways')
  await request.verifyForGateway()
}

function authenticateIfPossible(request: FastifyRequest, { asked }: Demands): Promise<void> | undefined {
  const admit = () => {
    // A key opens only what declares its scope.
    if (verified(request).scopes !== undefined) throw new TokenRefused('type')
    assertEnrolled(verified(request), asked)
  }
  const forget = () => {
    request.user = null
  }
  try {
    const authenticating = request.authenticateToken()
    if (authenticating) return authenticating.then(admit).catch(forget)
    admit()
  } catch {
    forget()
  }
  return undefined
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
