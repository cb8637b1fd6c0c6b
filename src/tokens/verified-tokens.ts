import { LRUCache } from 'lru-cache'
import type { UnverifiedToken } from './jws.ts'

/** As many as a busy instance sees in a token's lifetime, at about 2 KiB each. */
const maxTokens = 5_000

/**
 * Cache of tokens whose signature was verified. The caller checks time, key and revocation again for each request.
 */
export class VerifiedTokens {
  readonly #tokens = new LRUCache<string, UnverifiedToken>({ max: maxTokens })

  get(compact: string): UnverifiedToken | undefined {
    return this.#tokens.get(compact)
  }

  /** Only for admitted tokens, so that invalid ones cannot evict valid ones (cache pollution). */
  add(token: UnverifiedToken): void {
    this.#tokens.set(token.compact, token)
  }
}
