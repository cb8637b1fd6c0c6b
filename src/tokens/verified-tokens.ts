import { LRUCache } from 'lru-cache'
import type { UnverifiedToken } from './jws.ts'

/** As many as a busy instance sees in a token's lifetime, at some 2 KiB each. */
const most = 5_000

/**
 * Tokens whose signature was found good, by their text: verifying one again costs a look-up instead of a
 * signature. It says nothing about time, key or revocation; whoever takes a token from here checks those again.
 */
export class VerifiedTokens {
  readonly #tokens = new LRUCache<string, UnverifiedToken>({ max: most })

  get(compact: string): UnverifiedToken | undefined {
    return this.#tokens.get(compact)
  }

  /** Only for a token that verified and was admitted: a bad one must not push out a good one. */
  add(token: UnverifiedToken): void {
    this.#tokens.set(token.compact, token)
  }
}
