/** How long an observed clock difference counts. */
const rememberedSeconds = 3600

/**
 * How far the clocks of trusted issuers are ahead of ours, observed from their tokens. A token may be issued up to the
 * tolerated skew in the future, where a revocation of all tokens issued until now would miss it.
 */
export class IssuerClocks {
  readonly #seen = new Map<string | undefined, { readonly ahead: number; readonly at: number }>()

  /** Records the issue time of a verified token. */
  note(issuer: string | undefined, issuedAt: number, now: number): void {
    const ahead = issuedAt - now
    if (ahead > 0 && ahead >= this.ahead(issuer, now)) this.#seen.set(issuer, { ahead, at: now })
  }

  /** @returns seconds, 0 when no token has shown a difference */
  ahead(issuer: string | undefined, now: number): number {
    const seen = this.#seen.get(issuer)
    return seen && Math.abs(now - seen.at) <= rememberedSeconds ? seen.ahead : 0
  }
}
