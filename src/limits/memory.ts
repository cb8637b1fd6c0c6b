import { createHash, randomBytes } from 'node:crypto'
import { networkOf } from './address.ts'
import type { Budget, Budgets, LimitName } from './budgets.ts'
import type { Count, Counter, Counters } from './counters.ts'

interface Options {
  /** Monotonic milliseconds. */
  readonly now?: () => number
  /** Maximum of counters for one limit. */
  readonly capacity?: number
}

/**
 * Counters of one limit that keys share when the table is full: enough to make it improbable that wrong passwords for
 * other accounts use up the counter of an account. docs/limits.md has the figures.
 */
const sharedCounters = 65_536

/** Counters in memory: bounded, and none is evicted before its window ends. */
export class MemoryCounters implements Counters {
  readonly #tables: Record<LimitName, Table>

  constructor(budgets: Budgets, { now = () => performance.now(), capacity = 50_000 }: Options = {}) {
    const tables = Object.entries(budgets).map(([name, budget]) => [name, new Table(budget, now, capacity)])
    this.#tables = Object.fromEntries(tables)
  }

  async take(counters: readonly Counter[]): Promise<readonly Count[]> {
    return this.takeNow(counters)
  }

  takeNow(counters: readonly Counter[]): readonly Count[] {
    return counters.map(({ limit, key }) => this.#tables[limit].take(key))
  }

  /** Adopts the end of the remote window, unless the remote counter has lost counts. */
  align({ limit, key }: Counter, count: Pick<Count, 'used' | 'resetMs'>): void {
    this.#tables[limit].align(key, count)
  }

  giveBack(counters: readonly Counter[]): void {
    for (const { limit, key } of counters) this.#tables[limit].giveBack(key)
  }

  get size(): number {
    return Object.values(this.#tables).reduce((sum, { size }) => sum + size, 0)
  }
}

interface Window {
  used: number
  endsAt: number
}

/**
 * The windows of one limit in two generations: once per window length the older one, in which every window has ended by
 * then, is dropped as a whole. An attacker with many keys can fill the table, but that evicts no counter: new keys share
 * a counter with others of their network, so that the attacker's network is refused first.
 */
class Table {
  readonly #budget: Budget
  readonly #now: () => number
  readonly #capacity: number
  /** Random, so that an attacker cannot choose whose counter to share. */
  readonly #seed = randomBytes(16)
  #young = new Map<string, Window>()
  #old = new Map<string, Window>()
  #turnsAt = 0
  #sharedUntil = 0

  constructor(budget: Budget, now: () => number, capacity: number) {
    this.#budget = budget
    this.#now = now
    this.#capacity = capacity
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  take(key: string): Count {
    const now = this.#now()
    this.#turn(now)
    const window = this.#find(key, now) ?? this.#open(key, now)
    const refused = window.used >= this.#budget.max
    if (!refused) window.used++
    const shared = refused && this.#live(key, now) === undefined
    const { max } = this.#budget
    return { refused, used: window.used, max, resetMs: window.endsAt - now, ...(shared ? { shared } : {}) }
  }

  align(key: string, { used, resetMs }: Pick<Count, 'used' | 'resetMs'>): void {
    const now = this.#now()
    const window = this.#live(key, now)
    if (!window || used < window.used) return
    window.endsAt = now + Math.min(resetMs, this.#budget.timeWindow)
    // Its end may be later now, so it must not be dropped with the older generation.
    if (this.#old.delete(key)) this.#young.set(key, window)
  }

  giveBack(key: string): void {
    const now = this.#now()
    this.#turn(now)
    const name = this.#live(key, now) ? key : this.#sharedKey(key)
    const window = this.#live(name, now)
    if (!window || --window.used > 0) return
    // Otherwise aborted requests could fill the table.
    this.#young.delete(name)
    this.#old.delete(name)
  }

  #turn(now: number): void {
    if (now < this.#turnsAt) return
    const { timeWindow } = this.#budget
    this.#old = now < this.#turnsAt + timeWindow ? this.#young : new Map()
    this.#young = new Map()
    this.#turnsAt = now + timeWindow
  }

  #find(key: string, now: number): Window | undefined {
    return (
      this.#live(key, now) ?? (now < this.#sharedUntil ? this.#live(this.#sharedKey(key), now) : undefined)
    )
  }

  #live(key: string, now: number): Window | undefined {
    const window = this.#young.get(key) ?? this.#old.get(key)
    return window && window.endsAt > now ? window : undefined
  }

  #open(key: string, now: number): Window {
    const window = { used: 0, endsAt: now + this.#budget.timeWindow }
    const full = this.size >= this.#capacity
    if (full) this.#sharedUntil = window.endsAt
    this.#young.set(full ? this.#sharedKey(key) : key, window)
    return window
  }

  #sharedKey(key: string): string {
    const digest = createHash('sha256').update(this.#seed).update(networkOf(key)).digest()
    return `shared ${digest.readUInt32BE() % sharedCounters}`
  }
}
