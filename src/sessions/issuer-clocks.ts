/** Seconds for which an issuer's clock is taken to be as it was seen. */
const memory = 3600

/**
 * How far the clocks of trusted issuers are ahead of this process's, as far as their tokens have shown it. A token may
 * be issued up to the tolerated skew in the future, and then "issued until now" does not cover it.
 */
export class IssuerClocks {
  readonly #seen = new Map<string | undefined, { readonly ahead: number; readonly at: number }>()

  /** Takes note of a verified token. */
  note(issuer: string | undefined, issuedAt: number, now: number): void {
    const ahead = issuedAt - now
    if (ahead > 0 && ahead >= this.ahead(issuer, now)) this.#seen.set(issuer, { ahead, at: now })
  }

  /** @returns seconds, 0 where nothing shows it */
  ahead(issuer: string | undefined, now: number): number {
    const seen = this.#seen.get(issuer)
    return seen && Math.abs(now - seen.at) <= memory ? seen.ahead : 0
  }
}
