import { LRUCache } from 'lru-cache'
import type { Clock } from '../clock.ts'
import { Problem } from '../problem.ts'
import type { Principal } from '../tokens/owner.ts'
import { TokenRefused } from '../tokens/refusal.ts'
import { isWellFormedKey, keyHash } from './text.ts'

/** Keys that an instance remembers, at less than 1 KiB each. */
const maxKnown = 5_000

/** Apart from the known ones, so that guessing cannot evict a valid key. */
const maxUnknown = 1_000

const unknownForMs = 60_000

interface Options {
  /** Finds a key that is not known yet; undefined when there is none. */
  readonly find: (key: { readonly text: string; readonly hash: string }) => Promise<Principal | undefined>
  /** Throws when the key has ended, or when that is unknown. */
  readonly assertLive: (user: Principal) => void
  /** Seconds since the epoch. */
  readonly clock: Clock
  /** Called for each use, with a time of the clock. */
  readonly onUse?: (keyId: string, at: number) => void
  /** How long a key is remembered; default: until it expires. */
  readonly rememberMs?: number
}

/**
 * Verifies API keys: the first time by a look-up, then from memory, until the key expires or {@link forget} is called.
 * Memory has hashes only, so that comparing them reveals nothing of a key.
 */
export class KeyVerifier {
  readonly #options: Options
  readonly #known: LRUCache<string, Principal>
  /** Of the known keys, by id. */
  readonly #hashes = new Map<string, string>()
  /** A key cannot come to be: its text is random, and handed out once it is stored. */
  readonly #unknown = new LRUCache<string, true>({ max: maxUnknown, ttl: unknownForMs })
  readonly #pending = new Map<string, Promise<Principal | undefined>>()

  constructor(options: Options) {
    this.#options = options
    this.#known = new LRUCache({
      max: maxKnown,
      ttl: options.rememberMs ?? 0,
      dispose: ({ keyId = '' }) => this.#hashes.delete(keyId),
    })
  }

  /**
   * Verifies a key that is in memory.
   * @returns undefined for any other
   * @throws TokenRefused
   * @throws Problem service_unavailable
   */
  verifyKnown(text: string): Principal | undefined {
    if (!isWellFormedKey(text)) throw new TokenRefused('key_checksum')
    const hash = keyHash(text)
    const user = this.#known.get(hash)
    return user && this.#admit(hash, user)
  }

  /**
   * @param beforeLookUp called before a key that is not known yet is looked up; may throw
   * @throws TokenRefused
   * @throws Problem service_unavailable when the look-up fails: fails closed
   */
  async verify(text: string, beforeLookUp?: () => Promise<void>): Promise<Principal> {
    if (!isWellFormedKey(text)) throw new TokenRefused('key_checksum')
    const hash = keyHash(text)
    return this.#admit(hash, this.#known.get(hash) ?? (await this.#look(text, hash, beforeLookUp)))
  }

  #admit(hash: string, user: Principal): Principal {
    const { assertLive, clock, onUse } = this.#options
    const now = clock()
    if (now >= user.expiresAt) throw new TokenRefused('expired')
    // In one step with remembering it: a look-up may have begun before the end of the key was committed.
    assertLive(user)
    if (!this.#known.has(hash)) this.#remember(hash, user)
    if (user.keyId !== undefined) onUse?.(user.keyId, now)
    // A copy: requests must not share what a handler can change.
    return { ...user, scopes: [...(user.scopes ?? [])] }
  }

  /** Drops a key that has ended. */
  forget(keyId: string): void {
    const hash = this.#hashes.get(keyId)
    if (hash !== undefined) this.#known.delete(hash)
  }

  /** Drops every key. */
  forgetAll(): void {
    this.#known.clear()
  }

  #remember(hash: string, user: Principal): void {
    this.#known.set(hash, user)
    if (user.keyId !== undefined) this.#hashes.set(user.keyId, hash)
  }

  /** One look-up of a key at a time. */
  async #look(text: string, hash: string, before?: () => Promise<void>): Promise<Principal> {
    if (this.#unknown.has(hash)) throw new TokenRefused('key_unknown')
    if (before) await before()
    let pending = this.#pending.get(hash)
    if (!pending) {
      pending = this.#options.find({ text, hash }).finally(() => this.#pending.delete(hash))
      this.#pending.set(hash, pending)
    }
    const found = await pending.catch((cause: unknown) => {
      if (cause instanceof Problem || cause instanceof TokenRefused) throw cause
      throw new Problem('service_unavailable', { reason: 'key_lookup', cause })
    })
    if (found) return found
    this.#unknown.set(hash, true)
    throw new TokenRefused('key_unknown')
  }
}
