import type { UnverifiedToken } from './jws.ts'

/** The keys of an issuer. */
export interface KeySource {
  /** Accepted `alg` values. */
  readonly algorithms: readonly string[]
  /**
   * The key to verify a token with: a secret, or a public key as PEM.
   * @throws TokenRefused algorithm, key
   * @throws Problem service_unavailable when no keys could be fetched
   */
  verifyingKey(token: UnverifiedToken): string | Promise<string>
  /**
   * Whether a signature is wrong, where that is cheap to see; false when it has to be verified. A refusal by it saves
   * the verification, a token that passes it still needs one.
   */
  refutes?(token: UnverifiedToken): boolean
  /** Whether the key that verified this token before is still valid, so that its signature need not be checked again. */
  stillVerifies(token: UnverifiedToken): boolean
}
