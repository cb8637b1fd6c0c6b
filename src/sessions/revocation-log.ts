import { randomBytes } from 'node:crypto'
import type { Revocation } from './revocations.ts'

/** Entries kept; a reader that is further behind reads the database. */
const maxEntries = 10_000

/** What this process has learned, in order, and the readers that wait for more. All in memory. */
export class RevocationLog {
  /** Distinguishes the logs of several processes. */
  readonly id = randomBytes(6).toString('base64url')
  #entries: Revocation[] = []
  #start = 0
  #released = false
  readonly #waiting = new Set<() => void>()
  #waking = false

  /** Index of the next entry. */
  get end(): number {
    return this.#start + this.#entries.length
  }

  get waiting(): number {
    return this.#waiting.size
  }

  append(revocation: Revocation): void {
    this.#entries.push(revocation)
    if (this.#entries.length >= 2 * maxEntries) {
      this.#entries = this.#entries.slice(maxEntries)
      this.#start += maxEntries
    }
    if (this.#waking || this.#waiting.size === 0) return
    this.#waking = true
    // One answer for all that a transaction has revoked.
    setImmediate(() => {
      this.#waking = false
      this.#wake()
    })
  }

  /** The entries from an index on; undefined when they are no longer kept, or never were. */
  from(index: number, limit: number): readonly Revocation[] | undefined {
    if (index < this.#start || index > this.end) return undefined
    return this.#entries.slice(index - this.#start, index - this.#start + limit)
  }

  /** Resolves with the next entry, after `ms`, when the signal aborts, or when readers are released. */
  changed(ms: number, signal: AbortSignal): Promise<void> {
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

  /** Ends the wait of every reader, now and from now on. */
  release(): void {
    this.#released = true
    this.#wake()
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake()
  }
}
