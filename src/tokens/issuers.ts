import type { UnverifiedToken } from './jws.ts'
import type { KeySource } from './key-source.ts'
import type { Principal } from './owner.ts'
import { TokenRefused } from './refusal.ts'
import type { Service } from './service.ts'

type Parameters = Readonly<Record<string, unknown>>

/** A trusted issuer: its keys, and the rules for its tokens. */
export interface Issuer {
  /** The `iss` of its tokens; undefined for tokens that have none. */
  readonly iss: string | undefined
  /** Whether claims must be as strict JSON as a request body: true for tokens that only this service makes. */
  readonly strict?: boolean
  readonly keys: KeySource
  /**
   * Checks a token against the issuer's rules, without its signature.
   * @param now seconds since the epoch
   * @throws TokenRefused
   */
  check(header: Parameters, claims: Parameters, now: number): void
  /**
   * The user of a token that passed {@link check}.
   * @throws TokenRefused service_token
   */
  principalOf(claims: Parameters): Principal
  /** The service client of a token that passed {@link check}; undefined for a user's. */
  serviceOf?(claims: Parameters): Service | undefined
}

/**
 * The trusted issuers. Rules and keys are selected by `iss` alone, never by the algorithm or key in the header (RFC 8725
 * sections 3.1 and 3.8: algorithm confusion).
 */
export class Issuers {
  readonly #known: ReadonlyMap<unknown, Issuer>
  /** Of all issuers together. */
  readonly algorithms: readonly string[]

  /** @throws Error for two with the same `iss`, and for an empty list */
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
