import { randomInt } from 'node:crypto'
import { Problem } from '../problem.ts'

const maxRetrySeconds = 5

/** Bounds the requests in flight that compute a password hash. */
export class Slots {
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  get free(): number {
    return this.#free
  }

  /** @throws Problem service_unavailable when none is free */
  assertFree(): void {
    if (this.#free > 0) return
    // Jitter: clients refused together must not retry together.
    const seconds = randomInt(1, maxRetrySeconds + 1)
    throw new Problem('service_unavailable', {
      reason: 'hash_queue_full',
      headers: { 'retry-after': String(seconds) },
    })
  }

  /**
   * @returns releases the slot; idempotent
   * @throws Problem service_unavailable when none is free
   */
  take(): () => void {
    this.assertFree()
    this.#free--
    let taken = true
    return () => {
      if (taken) this.#free++
      taken = false
    }
  }
}
