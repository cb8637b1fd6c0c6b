export interface OutboxOptions<Row> {
  /** Claims at most `limit` due deliveries, by a lease, so that no transaction stays open meanwhile. */
  readonly claim: (limit: number) => Promise<readonly Row[]>
  /** Rejects where the outbox could not be written: the delivery is claimed again when its lease has expired. */
  readonly deliver: (row: Row) => Promise<void>
  /** Called once per outage of the database; polling continues. */
  readonly onUnreadable: (error: unknown) => void
  /** Deliveries in flight at a time. */
  readonly concurrency: number
  /** Milliseconds. */
  readonly pollEvery: number
}

/** Delivers an outbox, in any number of processes. */
export class OutboxWorker<Row> {
  readonly #options: OutboxOptions<Row>
  readonly #inFlight = new Set<Promise<void>>()
  #filling: Promise<void> | undefined
  /** Whether there may be more due deliveries than the last claim returned. */
  #more = false
  #timer: NodeJS.Timeout | undefined
  #stopped = true
  #failing = false

  constructor(options: OutboxOptions<Row>) {
    this.#options = options
  }

  start(): void {
    this.#stopped = false
    this.#timer = setInterval(() => this.wake(), this.#options.pollEvery).unref()
    this.wake()
  }

  /** Polls the outbox now. */
  wake(): void {
    if (this.#stopped) return
    this.#more = true
    this.#filling ??= this.#fill().finally(() => {
      this.#filling = undefined
      // wake() was called meanwhile.
      if (this.#more && this.#inFlight.size < this.#options.concurrency) this.wake()
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
    const { concurrency, claim } = this.#options
    while (this.#more && this.#inFlight.size < concurrency) {
      this.#more = false
      const free = concurrency - this.#inFlight.size
      const rows = await claim(free).catch((error: unknown) => this.#noteFailure(error))
      if (!rows) return
      this.#failing = false
      if (rows.length === free) this.#more = true
      for (const row of rows) this.#begin(row)
    }
  }

  #begin(row: Row): void {
    const delivery = this.#options
      .deliver(row)
      .catch((error: unknown) => void this.#noteFailure(error))
      .finally(() => {
        this.#inFlight.delete(delivery)
        if (this.#more) this.wake()
      })
    this.#inFlight.add(delivery)
  }

  #noteFailure(error: unknown): undefined {
    if (!this.#failing) this.#options.onUnreadable(error)
    this.#failing = true
  }
}
