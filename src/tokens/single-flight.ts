import { setTimeout as delay } from 'node:timers/promises'

interface Options {
  /** Must not reject. */
  readonly run: () => Promise<void>
  /** Between the starts of two runs that {@link SingleFlight.soon} asks for. */
  readonly cooldownMs: number
  /** Milliseconds that never go back. */
  readonly monotonic?: (() => number) | undefined
  /** Waits out the cooldown; in milliseconds. */
  readonly sleep?: ((ms: number) => Promise<unknown>) | undefined
}

/** Runs a refresh one at a time, and no more often than its cooldown permits, however many callers ask for it. */
export class SingleFlight {
  readonly #run: () => Promise<void>
  readonly #cooldownMs: number
  readonly #monotonic: () => number
  readonly #sleep: (ms: number) => Promise<unknown>
  #running: Promise<void> = Promise.resolve()
  #queued: Promise<void> | null = null
  #startedAt = Number.NEGATIVE_INFINITY

  constructor({ run, cooldownMs, monotonic = () => performance.now(), sleep = delay }: Options) {
    this.#run = run
    this.#cooldownMs = cooldownMs
    this.#monotonic = monotonic
    this.#sleep = sleep
  }

  /** Runs after the run in flight, whatever the cooldown. */
  now(): Promise<void> {
    this.#running = this.#running.then(this.#run)
    return this.#running
  }

  /**
   * A run that has not started yet, shared by all callers until it does. The one in flight does not count: it may have
   * read its source before what the caller looks for was there.
   */
  soon(): Promise<void> {
    this.#queued ??= this.#running.then(async () => {
      const waitMs = this.#startedAt + this.#cooldownMs - this.#monotonic()
      if (waitMs > 0) await this.#sleep(waitMs)
      this.#queued = null
      this.#startedAt = this.#monotonic()
      await this.now()
    })
    return this.#queued
  }

  /** The queued run, if there is one. */
  get queued(): Promise<void> | null {
    return this.#queued
  }

  /** The run in flight, or the last one. */
  get running(): Promise<void> {
    return this.#running
  }

  get coolingDown(): boolean {
    return this.#monotonic() - this.#startedAt < this.#cooldownMs
  }
}
