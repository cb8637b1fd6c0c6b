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
   * @param signal aborts when the client disconnects: a hash still in the queue is then not computed
   * @throws Problem service_unavailable when the queue is full
   */
  hash(password: string, signal?: AbortSignal): Promise<string>
  /**
   * False for a wrong password, for a malformed hash, for an account without a password and for no account at all.
   * The last three cost what a hash that was made here does; another system's hash costs what it costs.
   * @throws Problem service_unavailable when the queue is full
   */
  verify(hash: string | null | undefined, password: string, signal?: AbortSignal): Promise<boolean>
  /**
   * Hands a new hash to `keep` where the one that this password was verified against is outdated: once, however
   * many logins ask for it at the same time.
   * @throws Problem service_unavailable when the queue is full
   * @throws whatever `keep` does
   */
  upgrade(hash: string, password: string, keep: (hash: string) => Promise<void>): Promise<void>
}

interface PoolOptions {
  /** Hashes computed at a time. */
  readonly concurrency: number
  /** Hashes that may wait for their turn; the next one is refused. */
  readonly queue: number
  /** Of new hashes; {@link recommendedCost} unless a test whose subject is another one wants it cheap. */
  readonly cost?: HashCost
  /** Told of a stored hash that no algorithm reads: an alarm, since neither this service nor its import wrote it. */
  readonly onMalformedHash?: (error: unknown) => void
}

/**
 * Password hashing in a bounded pool, so that a flood of logins costs bounded memory and leaves a core to everything
 * else.
 */
export function createPasswords(options: PoolOptions): Passwords {
  const { concurrency, queue, cost = recommendedCost, onMalformedHash } = options
  const limit = pLimit(concurrency)
  // What an unknown account is verified against: the same parameters, a password known to nobody. Computed now,
  // since the first unknown account must not take longer than the next.
  const dummy = hashPassword(crypto.randomUUID(), cost)
  const upgrading = new Set<string>()

  const slots = new Slots(concurrency + queue)

  async function enqueue<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    const leave = slots.take()
    signal?.addEventListener('abort', leave)
    try {
      return await limit(async () => {
        if (signal?.aborted) throw new Problem('service_unavailable', { reason: 'client_left' })
        // From here on it takes a slot, whoever waits for it.
        signal?.removeEventListener('abort', leave)
        return work()
      })
    } finally {
      signal?.removeEventListener('abort', leave)
      leave()
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
  }
}

/** Code points of a password as it will be hashed: composing can make it shorter than what was sent. */
export function lengthAsHashed(password: string): number {
  return [...normalizePassword(password)].length
}
