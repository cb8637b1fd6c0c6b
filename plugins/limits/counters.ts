import fp from 'fastify-plugin'
import type { Budgets } from '../../src/limits/budgets.ts'
import type { Counters } from '../../src/limits/counters.ts'
import { FirstTimes } from '../../src/limits/first-times.ts'
import { MemoryCounters } from '../../src/limits/memory.ts'
import { openShared } from '../../src/limits/open.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** The counters of all limits. */
    readonly counters: Counters & { readonly away?: boolean }
    /** Logs a limit that is reached again and again only once per window. */
    readonly firstTimes: FirstTimes
  }
}

interface CounterOptions {
  readonly budgets: Budgets
  readonly redisUrl: string | undefined
}

/** `app.counters`: in memory, or in Redis, shared by all instances. */
export default fp<CounterOptions>(
  async (app, { budgets, redisUrl }) => {
    app.decorate('firstTimes', new FirstTimes(budgets))
    if (redisUrl === undefined) {
      app.decorate('counters', new MemoryCounters(budgets))
      return
    }
    const shared = await openShared(redisUrl, budgets, {
      onAway: (err) => app.log.warn({ err }, 'Redis does not answer: stricter limits of this process count'),
      onRefused: (err) =>
        app.log.error({ err }, 'Redis refuses the counters: stricter limits of this process count'),
      onBack: () => app.log.info('Redis answers again: all instances share their limits'),
    })
    app.decorate('counters', shared)
    app.addHook('onReady', () => shared.start())
    app.addHook('onClose', async () => shared.stop())
  },
  { name: 'latchkey-counters', fastify: '5.x' },
)
