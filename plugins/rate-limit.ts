import rateLimit from '@fastify/rate-limit'
import fp from 'fastify-plugin'
import { budgets } from '../src/limits.ts'
import { Problem } from '../src/problem.ts'

/** Limits by client address (IPv6 by /64). A route with a budget of its own names it in `config.rateLimit`. */
export default fp<{ readonly enabled: boolean }>(
  async (app, { enabled }) => {
    if (!enabled) return
    await app.register(rateLimit, {
      ...budgets.everything,
      enableDraftSpec: true,
      errorResponseBuilder: () => new Problem('rate_limited'),
    })
  },
  { name: 'latchkey-rate-limit', fastify: '5.x' },
)
