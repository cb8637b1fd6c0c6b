import type { SecurityEvent } from '../audit.ts'
import type { Trx } from '../db/schema.ts'
import { type CommitDeps, commit, type Effects } from '../sessions/commit.ts'

/** The service client that calls, and its address. */
export interface Operator {
  readonly clientId: string
  readonly ip: string
}

/** {@link commit}, with the operator in each security event. */
export async function commitAs<T>(
  deps: CommitDeps,
  { clientId, ip }: Operator,
  work: (trx: Trx, effects: Effects) => Promise<T>,
): Promise<T> {
  return commit(deps, async (trx, effects) => {
    const result = await work(trx, effects)
    const { events } = effects
    const stamped = events.map((event) => ({ ...event, ip: event.ip ?? ip, clientId }))
    events.splice(0, events.length, ...stamped)
    return result
  })
}

/** Stores the event of a call that changes nothing. */
export async function recordAs(deps: CommitDeps, operator: Operator, event: SecurityEvent): Promise<void> {
  await commitAs(deps, operator, async (_trx, { events }) => {
    events.push(event)
  })
}
