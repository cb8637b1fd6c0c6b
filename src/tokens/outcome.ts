import { Problem } from '../problem.ts'
import { sharedSecretIssuer } from './foreign-token.ts'
import type { Issuers } from './issuers.ts'
import { parseToken } from './jws.ts'
import type { Principal } from './owner.ts'
import { type RefusalReason, TokenRefused } from './refusal.ts'

/** How the verification of a token ended. */
export type TokenOutcome = 'accepted' | 'unavailable' | RefusalReason

/** @param issuer of a closed set: a trusted one, `api-key`, or `none` where no trusted one is claimed */
export type OnTokenOutcome = (issuer: string, outcome: TokenOutcome) => void

interface OutcomeOptions {
  /** The `iss` of own tokens. */
  readonly own: string
  readonly issuers: Issuers
  readonly onOutcome: OnTokenOutcome
}

/** Reports how verifications end. */
export class TokenOutcomes {
  readonly #options: OutcomeOptions

  constructor(options: OutcomeOptions) {
    this.#options = options
  }

  /** @param user undefined for a service client */
  accepted(user: Pick<Principal, 'issuer' | 'keyId'> | undefined): void {
    const { own, onOutcome } = this.#options
    onOutcome(user?.keyId === undefined ? (user?.issuer ?? own) : 'api-key', 'accepted')
  }

  /**
   * @param text of the token
   * @param isKey whether that claims to be an API key
   */
  refused(error: unknown, text: string, isKey: boolean): void {
    const { onOutcome } = this.#options
    if (error instanceof Problem && error.code !== 'service_unavailable') return
    const reason = error instanceof TokenRefused ? error.reason : 'signature'
    const outcome = error instanceof Problem ? 'unavailable' : reason
    onOutcome(isKey ? 'api-key' : this.#claimed(text), outcome)
  }

  /** Names no issuer that is not trusted: an attacker could make up any number. */
  #claimed(text: string): string {
    try {
      return this.#options.issuers.of(parseToken(text)).iss ?? sharedSecretIssuer
    } catch {
      return 'none'
    }
  }
}
