import type { UnverifiedToken } from './jws.ts'

/** Where the keys of an issuer come from. */
export interface KeySource {
  /** The `alg` values that a token may be signed with. */
  readonly algorithms: readonly string[]
  /**
   * The key to verify a token with: a secret, or a public key as PEM.
   * @throws TokenRefused algorithm, key
   * @throws Problem service_unavailable when no key could be had
   */
  verifyingKey(token: UnverifiedToken): string | Promise<string>
  /**
   * Whether the key that verified a token before is still good, so that its signature need not be checked again.
   */
  stillVerifies(token: UnverifiedToken): boolean
}
