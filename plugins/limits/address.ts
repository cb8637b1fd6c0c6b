import rateLimit, { type FastifyRateLimitStoreCtor } from '@fastify/rate-limit'
import type { FastifyRequest, onRequestHookHandler, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { logEvents, naming } from '../../src/audit.ts'
import { clientKey } from '../../src/limits/address.ts'
import { type BudgetName, type Budgets, type LimitName, routeBudgets } from '../../src/limits/budgets.ts'
import type { Counter, Counters } from '../../src/limits/counters.ts'
import { Problem } from '../../src/problem.ts'
import { clientAddress } from './client-address.ts'
import counters from './counters.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** The budget per client address; `everything` by default. */
    budget?: BudgetName
    /** Counts failed authentications of service clients instead of requests; so does access `service`. */
    limitsFailures?: true
  }
}

interface RateLimitOptions {
  readonly budgets: Budgets
  /** False where a gateway limits by address; account limits still need the counters. */
  readonly byAddress?: boolean
  readonly redisUrl?: string | undefined
}

/** `app.counters`, and the limits by client address. */
export default fp<RateLimitOptions>(
  async (app, { budgets, byAddress = true, redisUrl }) => {
    await app.register(counters, { budgets, redisUrl })
    const limiters = new Map<BudgetName, onRequestHookHandler>()

    // Before the library's hook, which would give each route its own counters.
    app.addHook('onRoute', (route) => {
      const budget = budgetOf(route)
      const { health, limitsFailures, access } = route.config ?? {}
      // A gateway is one address for all its clients: plugins/gateway/verify.ts counts refusals instead.
      if (health || limitsFailures || access === 'service' || access === 'gateway')
        route.config = { ...route.config, rateLimit: false }
      if (!byAddress || budget === undefined) return
      const limiter = limiters.get(budget) ?? app.rateLimit(limiterOf(app.counters, budgets, budget))
      limiters.set(budget, limiter)
      route.config = { ...route.config, rateLimit: false } as NonNullable<RouteOptions['config']>
      route.onRequest = [limiter, ...[route.onRequest ?? []].flat()] as onRequestHookHandler[]
    })

    if (!byAddress) return
    await app.register(rateLimit, {
      ...limiterOf(app.counters, budgets, 'everything'),
      store: CountedStore,
      onExceeded({ id }, text) {
        const { counter } = countOf(text)
        if (!app.firstTimes.isFirst(counter)) return
        const event = { event: 'rate_limit_reached', ip: counter.key, limit: counter.limit } as const
        logEvents(naming(id, app.log), [event])
      },
      enableDraftSpec: true,
    })
  },
  { name: 'latchkey-rate-limit', fastify: '5.x' },
)

/** @throws Error that names the route */
function budgetOf({ method, url, config }: RouteOptions): BudgetName | undefined {
  const budget = config?.budget
  if (budget !== undefined && !routeBudgets.includes(budget)) {
    throw new Error(
      `${[method].flat().join(',')} ${url}: config.budget must be one of ${routeBudgets.join(', ')}`,
    )
  }
  return budget
}

/**
 * The library asks for the key, the maximum and the count separately. One `take` returns all three, with the maximum in
 * force (a share of the budget while Redis is away), so the library's key encodes the others.
 */
function limiterOf(counters: Counters, budgets: Budgets, limit: LimitName) {
  return {
    timeWindow: budgets[limit].timeWindow,
    async keyGenerator(request: FastifyRequest): Promise<string> {
      const key = clientKey(clientAddress(request))
      const [count] = await counters.take([{ limit, key }])
      if (!count) throw new Error('a counter without a count')
      const used = count.refused ? count.max + 1 : count.used
      return [limit, key, count.max, used, count.resetMs].join(' ')
    },
    max: (_request: FastifyRequest, text: string) => countOf(text).max,
    errorResponseBuilder: () => new Problem('rate_limited', { reason: limit }),
  }
}

function countOf(text: string): { counter: Counter; max: number; used: number; resetMs: number } {
  const [limit = '', key = '', max, used, resetMs] = text.split(' ')
  const counter = { limit: limit as LimitName, key }
  return { counter, max: Number(max), used: Number(used), resetMs: Number(resetMs) }
}

/** The library's own store evicts counters when it is full, which an attacker with enough addresses could cause. */
const CountedStore: FastifyRateLimitStoreCtor = class {
  incr(text: string, done: (error: Error | null, result?: { current: number; ttl: number }) => void) {
    const { used, resetMs } = countOf(text)
    done(null, { current: used, ttl: resetMs })
  }

  child() {
    return this
  }
}
