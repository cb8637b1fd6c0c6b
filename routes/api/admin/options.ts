export interface AdminOptions {
  readonly basePath: string
  /** Names of the trusted issuers. */
  readonly trustedIssuers: readonly string[]
}
