/** Readers of a long poll, until something is new. */
export class WaitingReaders {
  readonly #waiting = new Set<() => void>()
  #released = false
  #waking = false

  get count(): number {
    return this.#waiting.size
  }

  get released(): boolean {
    return this.#released
  }

  /** Resolves when readers are woken, after `ms`, when the signal aborts, or when readers are released. */
  wait(ms: number, signal: AbortSignal): Promise<void> {
    if (this.#released || signal.aborted) return Promise.resolve()
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer)
        signal.removeEventListener('abort', done)
        this.#waiting.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      signal.addEventListener('abort', done)
      this.#waiting.add(done)
    })
  }

  /** Wakes every reader, once for all calls of one turn of the event loop. */
  wake(): void {
    if (this.#waking || this.#waiting.size === 0) return
    this.#waking = true
    setImmediate(() => {
      this.#waking = false
      this.#wakeAll()
    })
  }

  /** Ends the wait of every reader, now and from now on. */
  release(): void {
    this.#released = true
    this.#wakeAll()
  }

  #wakeAll(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
