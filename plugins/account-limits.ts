import fp from 'fastify-plugin'
import { type AccountLimits, createAccountLimits, noAccountLimits } from '../src/accounts/limits.ts'
import { insertEvents, logEvents, type SecurityEvent } from '../src/audit.ts'
import type { Budgets } from '../src/limits.ts'
import { knownAddresses } from '../src/sessions/known-addresses.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly accountLimits: AccountLimits
  }
}

/** `app.accountLimits`; with `budgets: false` it lets everything through. */
export default fp<{ readonly budgets: Budgets | false; readonly secret: string }>(
  async (app, { budgets, secret }) => {
    if (!budgets) {
      app.decorate('accountLimits', noAccountLimits)
      return
    }

    /** An event of an account that exists is a row too: at most one for each window, since a flood must fill no table. */
    function tell(event: SecurityEvent): void {
      logEvents(app.log, [event])
      if (event.userId === undefined) return
      // Not waited for: the answer must take as long where there is no account.
      app.db
        .transaction()
        .execute((trx) => insertEvents(trx, [event]))
        .catch((err: unknown) => app.log.warn({ err }, 'a security event could not be kept'))
    }

    app.decorate(
      'accountLimits',
      createAccountLimits({
        counters: app.counters,
        budgets,
        secret,
        knownAddresses: (userId) => knownAddresses(app.db, userId),
        onReached(counter, guess) {
          if (!app.firstTimes.isFirst(counter)) return
          tell({
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
    dependencies: ['latchkey-database', 'latchkey-rate-limit'],
  },
)
