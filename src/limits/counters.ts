import type { LimitName } from './budgets.ts'

/** One counter of a limit. */
export interface Counter {
  readonly limit: LimitName
  readonly key: string
}

export interface Count {
  /** Whether the budget was used up already; a refused attempt is not counted. */
  readonly refused: boolean
  readonly used: number
  /** The budget, or the stricter share in force while Redis is away. */
  readonly max: number
  /** Milliseconds until the window ends. */
  readonly resetMs: number
  /** Refused by a counter of a full table, which other keys of the network share. */
  readonly shared?: boolean
}

/**
 * Counts in fixed windows, each of which begins with its first attempt. An attempt is counted before it is carried out,
 * so that concurrent ones cannot exceed the budget.
 */
export interface Counters {
  /** Counts one attempt in each; results are in the order of the counters. Never rejects. */
  take(counters: readonly Counter[]): Promise<readonly Count[]>
  /** Uncounts an attempt that succeeded or was aborted. */
  giveBack(counters: readonly Counter[]): void
}
