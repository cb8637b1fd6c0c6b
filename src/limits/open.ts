import type { Budgets } from './budgets.ts'
import { SharedCounters } from './shared.ts'

/** The counters that instances share in Redis. Only here, since without Redis there is no need of its client. */
export async function openShared(
  redisUrl: string,
  budgets: Budgets,
  told: Pick<ConstructorParameters<typeof SharedCounters>[0], 'onAway' | 'onRefused' | 'onBack'>,
): Promise<SharedCounters> {
  const { RedisCounters } = await import('./redis.ts')
  return new SharedCounters({ remote: new RedisCounters(redisUrl, budgets), budgets, ...told })
}
