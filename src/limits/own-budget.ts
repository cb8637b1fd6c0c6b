import type { EventBuffer } from '../audit.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { LimitName } from './budgets.ts'
import type { Counters } from './counters.ts'
import type { FirstTimes } from './first-times.ts'
import { rateLimited } from './refusal.ts'

export interface BudgetDeps {
  readonly counters: Counters
  readonly firstTimes: FirstTimes
  readonly securityEvents: Pick<EventBuffer, 'note'>
}

/**
 * Counts an action of a user against a limit of the account.
 * @returns uncounts it
 * @throws Problem rate_limited
 */
export async function countOwned(
  { counters, firstTimes, securityEvents }: BudgetDeps,
  limit: LimitName,
  { owner, ip }: { readonly owner: OwnerId; readonly ip: string },
): Promise<() => void> {
  const counter = { limit, key: owner } as const
  const [count] = await counters.take([counter])
  if (!count) throw new Error('the counters returned no count')
  if (count.refused) {
    if (firstTimes.isFirst(counter))
      securityEvents.note({ event: 'rate_limit_reached', userId: owner, ip, limit })
    throw rateLimited(counter, count)
  }
  return () => counters.giveBack([counter])
}
