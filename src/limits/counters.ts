import type { LimitName } from './budgets.ts'

/** One counter: of a limit, for whom. */
export interface Counter {
  readonly limit: LimitName
  readonly key: string
}

/** What became of an attempt to count. */
export interface Count {
  /** The budget was used up before; what is refused is not counted. */
  readonly refused: boolean
  readonly used: number
  /** What may be used in a window: the budget, or the share of it that is in force. */
  readonly max: number
  /** Milliseconds until the window ends. */
  readonly resetMs: number
  /** Refused for want of room, on a counter that others of its network share. */
  readonly shared?: boolean
}

/**
 * Counts in fixed windows: one begins with the first thing counted in it. Counting comes before what is counted is
 * done, so that of many at once no more than the budget get through.
 */
export interface Counters {
  /** Counts one in each; the answers are in the order of the counters. Never rejects. */
  take(counters: readonly Counter[]): Promise<readonly Count[]>
  /** Takes back what was counted and turned out not to matter. */
  giveBack(counters: readonly Counter[]): void
}
