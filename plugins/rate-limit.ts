import rateLimit from '@fastify/rate-limit'
import type { onRequestHookHandler, RouteOptions } from 'fastify'
import fp from 'fastify-plugin'
import { type BudgetName, budgets } from '../src/limits.ts'
import { Problem } from '../src/problem.ts'

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whose requests are counted together; a route that names none counts with everything else. */
    budget?: BudgetName
  }
}

/** Limits by client address (IPv6 by /64). */
export default fp<{ readonly enabled: boolean }>(
  async (app, { enabled }) => {
    const limiters = new Map<BudgetName, onRequestHookHandler>()

    // Before the library's own hook, which gives each route counters of its own.
    app.addHook('onRoute', (route) => {
      const budget = budgetOf(route)
      if (!enabled || budget === undefined) return
      const limiter = limiters.get(budget) ?? app.rateLimit(budgets[budget])
      limiters.set(budget, limiter)
      route.config = { ...route.config, rateLimit: false } as NonNullable<RouteOptions['config']>
      route.onRequest = [limiter, ...[route.onRequest ?? []].flat()] as onRequestHookHandler[]
    })

    if (!enabled) return
    await app.register(rateLimit, {
      ...budgets.everything,
      enableDraftSpec: true,
      errorResponseBuilder: () => new Problem('rate_limited'),
    })
  },
  { name: 'latchkey-rate-limit', fastify: '5.x' },
)

/** @throws Error that names the route */
function budgetOf({ method, url, config }: RouteOptions): BudgetName | undefined {
  const budget = config?.budget
  if (budget !== undefined && !Object.hasOwn(budgets, budget)) {
    throw new Error(`${[method].flat().join(',')} ${url}: config.budget must be a budget of src/limits.ts`)
  }
  return budget
}
