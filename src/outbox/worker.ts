/** Concurrent deliveries of one process. */
const concurrency = 5

/** Delivers an outbox, in any number of processes. */
export abstract class OutboxWorker<Row> {
  readonly #pollEvery: number
  readonly #inFlight = new Set<Promise<void>>()
  #filling: Promise<void> | undefined
  /** Whether there may be more due deliveries than the last claim returned. */
  #more = false
  #timer: NodeJS.Timeout | undefined
  #stopped = true
  #failing = false

  /** @param pollEvery milliseconds */
  constructor(pollEvery = 5_000) {
    this.#pollEvery = pollEvery
  }

  /** Claims at most `limit` due deliveries, by a lease, so that no transaction stays open meanwhile. */
  protected abstract claim(limit: number): Promise<readonly Row[]>

  /** Rejects where the outbox could not be written: the delivery is claimed again when its lease has expired. */
  protected abstract deliver(row: Row): Promise<void>

  /** Called once per outage of the database; polling continues. */
  protected abstract noteUnreadable(error: unknown): void

  start(): void {
    this.#stopped = false
    this.#timer = setInterval(() => this.wake(), this.#pollEvery).unref()
    this.wake()
  }

  /** Polls the outbox now. */
  wake(): void {
    if (this.#stopped) return
    this.#more = true
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
      // wake() was called meanwhile.
      if (this.#more && this.#inFlight.size < concurrency) this.wake()
    })
  }

  /** Resolves when nothing is due or in flight. */
  async settled(): Promise<void> {
    while (this.#filling || this.#inFlight.size > 0) {
      await Promise.all([this.#filling, ...this.#inFlight])
    }
  }

  /** Waits for the deliveries in flight; the rest stays in the outbox. */
  async stop(timeoutMs: number): Promise<void> {
    clearInterval(this.#timer)
    this.#stopped = true
    let timer: NodeJS.Timeout | undefined
    const timeout = new Promise((resolve) => {
      timer = setTimeout(resolve, timeoutMs)
    })
    await Promise.race([this.settled(), timeout]).finally(() => clearTimeout(timer))
  }

  async #fill(): Promise<void> {
    while (this.#more && this.#inFlight.size < concurrency) {
      this.#more = false
      const free = concurrency - this.#inFlight.size
      const rows = await this.claim(free).catch((error: unknown) => this.#noteFailure(error))
      if (!rows) return
      this.#failing = false
      if (rows.length === free) this.#more = true
      for (const row of rows) this.#begin(row)
    }
  }

  #begin(row: Row): void {
    const delivery = this.deliver(row)
      .catch((error: unknown) => void this.#noteFailure(error))
      .finally(() => {
        this.#inFlight.delete(delivery)
        if (this.#more) this.wake()
      })
    this.#inFlight.add(delivery)
  }

  #noteFailure(error: unknown): undefined {
    if (!this.#failing) this.noteUnreadable(error)
    this.#failing = true
  }
}
