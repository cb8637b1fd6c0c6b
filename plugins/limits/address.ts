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
    /** Whose requests are counted together; a route that names none counts with everything else. */
    budget?: BudgetName
  }
}

interface RateLimitOptions {
  readonly budgets: Budgets
  /** False where a gateway limits the requests of an address; limits of accounts need the counters all the same. */
  readonly byAddress?: boolean
  readonly redisUrl?: string | undefined
}

/** `app.counters`, and the limits by client address. */
export default fp<RateLimitOptions>(
  async (app, { budgets, byAddress = true, redisUrl }) => {
    await app.register(counters, { budgets, redisUrl })
    const limiters = new Map<BudgetName, onRequestHookHandler>()

    // Before the library's own hook, which gives each route counters of its own.
    app.addHook('onRoute', (route) => {
      const budget = budgetOf(route)
      if (route.config?.health) route.config = { ...route.config, rateLimit: false }
      if (!byAddress || budget === undefined) return
      const limiter =
        limiters.get(budget) ?? app.rateLimit({ ...budgets[budget], keyGenerator: keyFor(budget) })
      limiters.set(budget, limiter)
      route.config = { ...route.config, rateLimit: false } as NonNullable<RouteOptions['config']>
      route.onRequest = [limiter, ...[route.onRequest ?? []].flat()] as onRequestHookHandler[]
    })

    if (!byAddress) return
    await app.register(rateLimit, {
      ...budgets.everything,
      keyGenerator: keyFor('everything'),
      store: storeOn(app.counters),
      onExceeded({ id }, text) {
        const counter = counterOf(text)
        if (!app.firstTimes.isFirst(counter)) return
        const event = { event: 'rate_limit_reached', ip: counter.key, limit: counter.limit } as const
        logEvents(naming(id, app.log), [event])
      },
      enableDraftSpec: true,
      errorResponseBuilder: () => new Problem('rate_limited'),
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

/** The library has one text for what it counts: the limit, and for whom. */
function keyFor(limit: LimitName): (request: FastifyRequest) => string {
  return (request) => `${limit} ${clientKey(clientAddress(request))}`
}

function counterOf(text: string): Counter {
  const [limit = '', key = ''] = text.split(' ')
  return { limit: limit as LimitName, key }
}

/** The library's own store drops counters when it is full; an attacker with enough addresses could fill it. */
function storeOn(counters: Counters): FastifyRateLimitStoreCtor {
  return class Store {
    incr(
      text: string,
      done: (error: Error | null, result?: { current: number; ttl: number }) => void,
      _timeWindow: number,
      max: number,
    ) {
      counters.take([counterOf(text)]).then(([count]) => {
        if (!count) throw new Error('a counter without a count')
        done(null, { current: count.refused ? max + 1 : count.used, ttl: count.resetMs })
      }, done)
    }

    child() {
      return this
    }
  }
}
