/** A mutex for each key. */
export class Turns {
  readonly #timeoutMs: number
  /** Waiters, by the keys that are taken. */
  readonly #waiting = new Map<unknown, (() => void)[]>()

  constructor(timeoutMs: number) {
    this.#timeoutMs = timeoutMs
  }

  /** @throws Error on timeout */
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

  give(key: unknown): void {
    const next = this.#waiting.get(key)?.shift()
    if (next) next()
    else this.#waiting.delete(key)
  }
}
