import pLimit from 'p-limit'
import { Problem } from '../problem.ts'
import {
  type HashCost,
  hashPassword,
  isOutdated,
  normalizePassword,
  recommendedCost,
  verifyHash,
} from './hashes.ts'
import { Slots } from './slots.ts'

/** Lengths in code points, NIST SP 800-63B section 3.1.1.2. */
export const passwordLength = { min: 8, max: 128 } as const

export interface Passwords {
  /**
   * @param signal aborts when the client disconnects: a queued hash is then dropped
   * @throws Problem service_unavailable when the queue is full
   */
  hash(password: string, signal?: AbortSignal): Promise<string>
  /**
   * False for a wrong password, a malformed hash, an account without a password, and no account. The last three cost
   * a dummy hash with the current parameters, for timing; an imported hash has its own cost.
   * @throws Problem service_unavailable when the queue is full
   */
  verify(hash: string | null | undefined, password: string, signal?: AbortSignal): Promise<boolean>
  /**
   * Passes a new hash to `keep` when the one that this password matched is outdated: once for concurrent logins.
   * @throws Problem service_unavailable when the queue is full
   * @throws whatever `keep` does
   */
  upgrade(hash: string, password: string, keep: (hash: string) => Promise<void>): Promise<void>
  /** Hashes computed now, waiting, and how many more are accepted. */
  load(): Readonly<Record<'running' | 'waiting' | 'free', number>>
}

interface PoolOptions {
  /** Hashes computed in parallel. */
  readonly concurrency: number
  /** Hashes that may wait; the next one is refused. */
  readonly queue: number
  /** Of new hashes; {@link recommendedCost} except in tests. */
  readonly cost?: HashCost
  /** An alarm: neither this service nor its import writes a malformed hash. */
  readonly onMalformedHash?: (error: unknown) => void
}

/** Password hashing in a bounded pool: a flood of logins costs bounded memory, and leaves a core for other requests. */
export function createPasswords(options: PoolOptions): Passwords {
  const { concurrency, queue, cost = recommendedCost, onMalformedHash } = options
  const limit = pLimit(concurrency)
  // The dummy hash for unknown accounts. Computed at the start: timing must not differ for the first one.
  const dummy = hashPassword(crypto.randomUUID(), cost)
  const upgrading = new Set<string>()

  const slots = new Slots(concurrency + queue)

  async function enqueue<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const release = slots.take()
    signal?.addEventListener('abort', release)
    try {
      return await limit(async () => {
        if (signal?.aborted) throw new Problem('service_unavailable', { reason: 'client_left' })
        // A running hash cannot be cancelled and keeps its slot.
        signal?.removeEventListener('abort', release)
        return work()
      })
    } finally {
      signal?.removeEventListener('abort', release)
      release()
    }
  }

  async function matches(hash: string, password: string): Promise<boolean> {
    try {
      return await verifyHash(hash, password)
    } catch (error) {
      onMalformedHash?.(error)
      return verifyHash(await dummy, password).then(() => false)
    }
  }

  return {
    hash: async (password, signal) => enqueue(() => hashPassword(password, cost), signal),
    async verify(hash, password, signal) {
      const stored = hash ?? (await dummy)
      const matched = await enqueue(() => matches(stored, password), signal)
      return matched && stored === hash
    },
    async upgrade(hash, password, keep) {
      if (!isOutdated(hash, cost) || upgrading.has(hash)) return
      upgrading.add(hash)
      try {
        await keep(await enqueue(() => hashPassword(password, cost)))
      } finally {
        upgrading.delete(hash)
      }
    },
    load: () => ({ running: limit.activeCount, waiting: limit.pendingCount, free: slots.free }),
  }
}

/** In code points, after NFC, which can shorten the text. */
export function lengthAsHashed(password: string): number {
  return [...normalizePassword(password)].length
}
