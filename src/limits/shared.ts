import { setTimeout } from 'node:timers/promises'
import type { Budgets } from './budgets.ts'
import type { Count, Counter, Counters } from './counters.ts'
import { MemoryCounters } from './memory.ts'
import { type RedisRefusal, refusalOf } from './redis-refusal.ts'

/** Counters elsewhere, which can be out of reach: then these reject. */
export interface RemoteCounters {
  connect(): Promise<void>
  close(): void
  take(counters: readonly Counter[]): Promise<readonly Count[]>
  giveBack(counters: readonly Counter[]): Promise<void>
}

interface Options {
  readonly remote: RemoteCounters
  readonly budgets: Budgets
  /** Once for each outage that may end by itself. */
  readonly onAway: (error: unknown) => void
  /** An outage that only the operator can end; again every hour. */
  readonly onRefused: (refusal: RedisRefusal) => void
  readonly onBack: () => void
  /** Milliseconds between two tries while it is away. */
  readonly retryMs?: number
  readonly remindMs?: number
}

/**
 * What one instance may let through while the others cannot be asked: up to four of them then stay within the budget
 * together.
 */
const shareWhileAlone = 1 / 4

/** So that a busy moment does not hide that Redis refuses this service, which ends the start. */
const triesAtStart = 3

/**
 * Counters that instances share, and beside them those of this process, which count what went through here. So a
 * flood at one instance is refused without asking again, what the shared ones have lost is still known where it came
 * in, and while they are away the local ones take over, with a stricter share.
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
   * Resolves when it has connected, or has tried for a moment and found nobody.
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

  /** Whether only this process counts. */
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
    // Nobody waits for it.
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

  /** @returns whether the operator has been told, now or in the last hour, what only an operator can mend */
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
          // What requests ask for, and not a ping: a server may be there and refuse to write.
          await remote.take([{ limit: 'everything', key: 'probe' }])
        } catch (error) {
          if (this.#closed) return
          // A server that was away may be back with another password.
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
