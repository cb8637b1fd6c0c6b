import argon2 from 'argon2'
import pLimit from 'p-limit'
import { Problem } from '../problem.ts'

/** OWASP's first choice for argon2id (Password Storage Cheat Sheet): 19 MiB, two passes, one lane. */
const parameters = { type: argon2.argon2id, memoryCost: 19_456, timeCost: 2, parallelism: 1 } as const

/** Lengths in code points, NIST SP 800-63B section 3.1.1.2. */
export const passwordLength = { min: 8, max: 128 } as const

export interface Passwords {
  /** @throws Problem service_unavailable when the queue is full */
  hash(password: string): Promise<string>
  /**
   * False for a wrong password, for a malformed hash and for no account at all; each costs the same work.
   * @throws Problem service_unavailable when the queue is full
   */
  verify(hash: string | undefined, password: string): Promise<boolean>
}

interface PoolOptions {
  /** Hashes computed at a time. */
  readonly concurrency: number
  /** Hashes that may wait for their turn; the next one is refused. */
  readonly queue: number
  /** Told of a stored hash that no algorithm reads: an alarm, since this service never wrote it. */
  readonly onMalformedHash?: (error: unknown) => void
}

/**
 * Password hashing with argon2id (RFC 9106) in a bounded pool, so that a flood of logins costs bounded memory
 * and leaves a core to everything else.
 */
export function createPasswords({ concurrency, queue, onMalformedHash }: PoolOptions): Passwords {
  const limit = pLimit(concurrency)
  // What an unknown account is verified against: the same parameters, a password known to nobody. Computed now,
  // since the first unknown account must not take longer than the next.
  const dummy = argon2.hash(crypto.randomUUID(), parameters)

  function enqueue<T>(work: () => Promise<T>): Promise<T> {
    if (limit.pendingCount >= queue) {
      throw new Problem('service_unavailable', { reason: 'hash_queue_full', headers: { 'retry-after': '1' } })
    }
    return limit(work)
  }

  async function matches(hash: string, password: string): Promise<boolean> {
    try {
      // For a hash of another kind, argon2.verify is false at once instead of throwing.
      if (!/^\$argon2(id|i|d)\$/.test(hash)) throw new Error('not an argon2 hash')
      return await argon2.verify(hash, password)
    } catch (error) {
      onMalformedHash?.(error)
      return argon2.verify(await dummy, password).then(() => false)
    }
  }

  return {
    hash: async (password) => enqueue(() => argon2.hash(normalize(password), parameters)),
    async verify(hash, password) {
      const stored = hash ?? (await dummy)
      const matched = await enqueue(() => matches(stored, normalize(password)))
      return matched && hash !== undefined
    },
  }
}

/** NFC, so that the same characters typed on another keyboard match (NIST SP 800-63B section 3.1.1.2). */
function normalize(password: string): string {
  return password.normalize('NFC')
}

/** Code points of a password as it will be hashed: composing can make it shorter than what was sent. */
export function lengthAsHashed(password: string): number {
  return [...normalize(password)].length
}
