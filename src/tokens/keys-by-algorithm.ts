import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import { TokenRefused } from './refusal.ts'

/**
 * Keys of several kinds that one issuer has. The algorithm selects among them, and no algorithm belongs to two: a
 * public key never verifies a MAC (algorithm confusion, RFC 8725 section 2.1).
 */
export class KeysByAlgorithm implements KeySource {
  readonly algorithms: readonly string[]
  readonly #sources: ReadonlyMap<unknown, KeySource>

  /** @throws Error when two have an algorithm in common */
  constructor(...sources: readonly KeySource[]) {
    this.algorithms = sources.flatMap(({ algorithms }) => algorithms)
    this.#sources = new Map(
      sources.flatMap((source) => source.algorithms.map((algorithm) => [algorithm, source] as const)),
    )
    if (this.#sources.size < this.algorithms.length) throw new Error('two kinds of keys share an algorithm')
  }

  verifyingKey(token: UnverifiedToken): string | Promise<string> {
    const source = this.#sources.get(token.header['alg'])
    if (!source) throw new TokenRefused('algorithm')
    return source.verifyingKey(token)
  }

  stillVerifies(token: UnverifiedToken): boolean {
    return this.#sources.get(token.header['alg'])?.stillVerifies(token) ?? false
  }
}
