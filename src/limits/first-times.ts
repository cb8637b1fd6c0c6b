import type { Budgets, LimitName } from './budgets.ts'
import type { Counter } from './counters.ts'
import { MemoryCounters } from './memory.ts'

/** Whether a limit is reached for the first time in its window, so that a flood is logged once. */
export class FirstTimes {
  readonly #told: MemoryCounters

  constructor(budgets: Budgets) {
    const once = Object.entries(budgets).map(([name, { timeWindow }]) => [name, { max: 1, timeWindow }])
    this.#told = new MemoryCounters(Object.fromEntries(once) as Record<LimitName, Budgets[LimitName]>)
  }

  isFirst(counter: Counter): boolean {
    return this.#told.takeNow([counter]).every(({ refused }) => !refused)
  }
}
