/** One at a time for each key; different keys do not wait for each other. */
export class Turns {
  readonly #timeoutMs: number
  /** Who waits, by the key that somebody has the turn of. */
  readonly #waiting = new Map<unknown, (() => void)[]>()

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** @throws Error when the turn does not come in time */
  async take(key: unknown): Promise<void> {
    const waiting = this.#waiting.get(key)
    if (!waiting) {
      this.#waiting.set(key, [])
      return
    }
    await new Promise<void>((resolve, reject) => {
      const begin = () => {
        clearTimeout(timer)
        resolve()
      }
      const timer = setTimeout(() => {
        waiting.splice(waiting.indexOf(begin), 1)
        reject(new Error('timeout expired: earlier statements for the same owner are still running'))
      }, this.#timeoutMs)
      waiting.push(begin)
    })
  }

  /** Ends the turn of a key. */
  give(key: unknown): void {
    const next = this.#waiting.get(key)?.shift()
    if (next) next()
    else this.#waiting.delete(key)
  }
}
