import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import type { Principal } from './owner.ts'
import { TokenRefused } from './refusal.ts'

type Parameters = Readonly<Record<string, unknown>>

/** Someone whose tokens are accepted: its keys, and what its tokens must say. */
export interface Issuer {
  /** The `iss` of its tokens; undefined for tokens that have none. */
  readonly iss: string | undefined
  /** True where every claim is the issuer's own: then none may be what a request body may not have. */
  readonly strict?: boolean
  readonly keys: KeySource
  /**
   * Holds a token against the issuer's rules; the signature is someone else's work.
   * @param now seconds since the epoch
   * @throws TokenRefused
   */
  check(header: Parameters, claims: Parameters, now: number): void
  /** Who a token speaks for, once {@link check} has passed it. */
  principalOf(claims: Parameters): Principal
}

/**
 * The issuers that are trusted. Which rules and keys a token is held against follows from its `iss` alone, never from
 * the algorithm or the key that its header names (RFC 8725 sections 3.1 and 3.8).
 */
export class Issuers {
  readonly #known: ReadonlyMap<unknown, Issuer>
  /** Of all issuers together. */
  readonly algorithms: readonly string[]

  /** @throws Error when two have the same `iss`, or there is none */
  constructor(issuers: readonly Issuer[]) {
    this.#known = new Map(issuers.map((issuer) => [issuer.iss, issuer]))
    if (this.#known.size !== issuers.length) throw new Error('two trusted issuers have the same name')
    if (issuers.length === 0) throw new Error('there is no issuer to trust')
    this.algorithms = [...new Set(issuers.flatMap(({ keys }) => keys.algorithms))]
  }

  /** @throws TokenRefused issuer */
  of({ claims }: Pick<UnverifiedToken, 'claims'>): Issuer {
    const issuer = this.#known.get(claims['iss'])
    if (!issuer) throw new TokenRefused('issuer')
    return issuer
  }
}
