import { randomInt } from 'node:crypto'
import { Problem } from '../problem.ts'

const maxRetrySeconds = 5

/** How much may be under way at a time that ends in a password hash. */
export class Slots {
  #free: number

  constructor(count: number) {
    this.#free = count
  }

  /** @throws Problem service_unavailable when none is free */
  assertFree(): void {
    if (this.#free > 0) return
    // Not the same for all: who was refused together must not come back together.
    const seconds = randomInt(1, maxRetrySeconds + 1)
    throw new Problem('service_unavailable', {
      reason: 'hash_queue_full',
      headers: { 'retry-after': String(seconds) },
    })
  }

  /**
   * @returns gives the slot back, however often it is called
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
