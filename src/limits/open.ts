import type { Budgets } from './budgets.ts'
import { SharedCounters } from './shared.ts'

/** Shared counters in Redis. Imports the client only when it is needed. */
export async function openShared(
  redisUrl: string,
  budgets: Budgets,
  told: Pick<ConstructorParameters<typeof SharedCounters>[0], 'onAway' | 'onRefused' | 'onBack'>,
): Promise<SharedCounters> {
  const { RedisCounters } = await import('./redis.ts')
  return new SharedCounters({ remote: new RedisCounters(redisUrl, budgets), budgets, ...told })
}
