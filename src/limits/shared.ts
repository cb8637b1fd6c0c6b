import { setTimeout } from 'node:timers/promises'
import type { Budgets } from './budgets.ts'
import type { Count, Counter, Counters } from './counters.ts'
import { MemoryCounters } from './memory.ts'
import { type RedisRefusal, refusalOf } from './redis-refusal.ts'

/** Counters in another process; they reject while it is unreachable. */
export interface RemoteCounters {
  connect(): Promise<void>
  close(): void
  take(counters: readonly Counter[]): Promise<readonly Count[]>
  giveBack(counters: readonly Counter[]): Promise<void>
}

interface Options {
  readonly remote: RemoteCounters
  readonly budgets: Budgets
  /** Once for each temporary outage. */
  readonly onAway: (error: unknown) => void
  /** For an outage that only the operator can end; repeated every hour. */
  readonly onRefused: (refusal: RedisRefusal) => void
  readonly onBack: () => void
  readonly retryMs?: number
  readonly remindMs?: number
}

/**
 * The share of a budget for one instance while the remote counters are away: up to four instances then stay within the
 * budget together.
 */
const shareWhileAlone = 1 / 4

/** Retries, so that a timeout at the start does not hide a refusal, which ends the start. */
const triesAtStart = 3

/**
 * Remote counters with local ones beside them, which count what this instance has let through. So a flood is refused
 * without a round trip, counts that Redis has lost are still enforced here, and while Redis is away the local counters
 * take over with a stricter share.
 */
export class SharedCounters implements Counters {
  readonly #options: Options
  readonly #local: MemoryCounters
  #away = false
  #closed = false
  #remindAt = 0
  #timer: NodeJS.Timeout | undefined

  constructor(options: Options) {
    this.#options = options
    this.#local = new MemoryCounters(options.budgets)
  }

  /**
   * Resolves when it has connected, or after a few attempts.
   * @throws RedisRefusal
   */
  async start(): Promise<void> {
    const { remote, retryMs = 500 } = this.#options
    for (let tries = triesAtStart; ; tries--) {
      try {
        return await remote.connect()
      } catch (error) {
        const refusal = refusalOf(error)
        if (refusal) throw refusal
        if (tries === 1 || this.#closed) return this.#leave(error)
      }
      await setTimeout(retryMs)
    }
  }

  /** Whether only the local counters are in use. */
  get away(): boolean {
    return this.#away
  }

  stop(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#options.remote.close()
  }

  async take(counters: readonly Counter[]): Promise<readonly Count[]> {
    const local = this.#local.takeNow(counters)
    const open = counters.filter((_, at) => !local[at]?.refused || local[at].shared)
    if (open.length === 0) return local
    const remote = this.#away ? undefined : await this.#ask(open)
    if (!remote) return counters.map((counter, at) => this.#alone(counter, local[at] as Count))
    const answers = new Map(open.map((counter, at) => [counter, remote[at]]))
    return counters.map((counter, at) => this.#together(counter, local[at] as Count, answers.get(counter)))
  }

  giveBack(counters: readonly Counter[]): void {
    this.#local.giveBack(counters)
    if (this.#away || counters.length === 0) return
    // Not awaited: no request waits for it.
    this.#options.remote.giveBack(counters).catch((error: unknown) => this.#leave(error))
  }

  async #ask(counters: readonly Counter[]): Promise<readonly Count[] | undefined> {
    try {
      return await this.#options.remote.take(counters)
    } catch (error) {
      this.#leave(error)
      return undefined
    }
  }

  #together(counter: Counter, local: Count, remote: Count | undefined): Count {
    if (!remote) return local
    this.#local.align(counter, remote)
    if (remote.refused && !local.refused) this.#local.giveBack([counter])
    return remote
  }

  #alone(counter: Counter, count: Count): Count {
    const share = Math.max(1, Math.floor(this.#options.budgets[counter.limit].max * shareWhileAlone))
    if (count.refused || count.used <= share) return { ...count, max: share }
    this.#local.giveBack([counter])
    return { ...count, refused: true, max: share }
  }

  #leave(error: unknown): void {
    if (this.#away || this.#closed) return
    this.#away = true
    if (!this.#remind(error)) this.#options.onAway(error)
    this.#retryLater()
  }

  /** Logs a refusal at most once an hour. @returns whether the error is a refusal */
  #remind(error: unknown): boolean {
    const refusal = refusalOf(error)
    const { onRefused, remindMs = 3_600_000 } = this.#options
    if (!refusal) return false
    const now = performance.now()
    if (now >= this.#remindAt) {
      this.#remindAt = now + remindMs
      onRefused(refusal)
    }
    return true
  }

  #retryLater(): void {
    const { remote, onBack, retryMs = 500 } = this.#options
    this.#timer = globalThis
      .setTimeout(async () => {
        try {
          // A real command and no ping: a read-only server answers that too.
          await remote.take([{ limit: 'everything', key: 'probe' }])
        } catch (error) {
          if (this.#closed) return
          // A server may come back with another password.
          this.#remind(error)
          this.#retryLater()
          return
        }
        this.#away = false
        this.#remindAt = 0
        if (!this.#closed) onBack()
      }, retryMs)
      .unref()
  }
}
