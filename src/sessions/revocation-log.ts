import { randomBytes } from 'node:crypto'
import { WaitingReaders } from '../feeds/waiting-readers.ts'
import type { Revocation } from './revocations.ts'

/** Entries kept; a reader that is further behind reads the database. */
const maxEntries = 10_000

/** What this process has learned, in order, and the readers that wait for more. All in memory. */
export class RevocationLog {
  /** Distinguishes the logs of several processes. */
  readonly id = randomBytes(6).toString('base64url')
  readonly readers = new WaitingReaders()
  #entries: Revocation[] = []
  #start = 0

  /** Index of the next entry. */
  get end(): number {
    return this.#start + this.#entries.length
  }

  append(revocation: Revocation): void {
    this.#entries.push(revocation)
    if (this.#entries.length >= 2 * maxEntries) {
      this.#entries = this.#entries.slice(maxEntries)
      this.#start += maxEntries
    }
    this.readers.wake()
  }

  /** The entries from an index on; undefined when they are no longer kept, or never were. */
  from(index: number, limit: number): readonly Revocation[] | undefined {
    if (index < this.#start || index > this.end) return undefined
    return this.#entries.slice(index - this.#start, index - this.#start + limit)
  }
}
