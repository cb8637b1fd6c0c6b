import fp from 'fastify-plugin'
import { type AccountLimits, createAccountLimits } from '../../src/accounts/guess-limits.ts'
import type { Budgets } from '../../src/limits/budgets.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly accountLimits: AccountLimits
  }
}

/** `app.accountLimits`. */
export default fp<{ readonly budgets: Budgets; readonly secret: string }>(
  async (app, { budgets, secret }) => {
    app.decorate(
      'accountLimits',
      createAccountLimits({
        counters: app.counters,
        budgets,
        secret,
        onReached(counter, guess) {
          // At most one for each window.
          if (!app.firstTimes.isFirst(counter)) return
          app.securityEvents.note({
            event: 'rate_limit_reached',
            userId: guess?.userId,
            ip: guess?.ip,
            limit: counter.limit,
          })
        },
      }),
    )
  },
  {
    name: 'latchkey-account-limits',
    fastify: '5.x',
    dependencies: ['latchkey-database', 'latchkey-rate-limit', 'latchkey-security-events'],
  },
)
