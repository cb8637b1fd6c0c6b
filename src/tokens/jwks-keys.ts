import { importJwk, JwkRefused } from './jwk.ts'

/** Public keys as PEM, by {@link keyName}. */
export type JwksKeys = ReadonlyMap<string, string>

/** Identifies a key: keys of different algorithms may share a kid (RFC 7517 section 4.5). */
export function keyName(kid: string, alg: string): string {
  return `${alg} ${kid}`
}

/**
 * The usable keys of a JWKS; different keys of the same name are ambiguous, and none of them is used.
 * @param algorithms `alg` values that the issuer may use
 * @param passOver is called for each key that is not used, with its kid and the reason
 */
export function keysOf(
  set: readonly unknown[],
  algorithms: readonly string[],
  passOver: (kid: unknown, why: string) => void,
): JwksKeys {
  const keys = new Map<string, string>()
  const ambiguous = new Map<string, string>()
  for (const jwk of set) {
    try {
      const { kid, pem, algorithms: usable } = importJwk(jwk, algorithms)
      for (const alg of usable) {
        const name = keyName(kid, alg)
        if (keys.has(name) && keys.get(name) !== pem) ambiguous.set(name, kid)
        keys.set(name, pem)
      }
    } catch (error) {
      if (!(error instanceof JwkRefused)) throw error
      passOver((jwk as { kid?: unknown } | null)?.kid, error.message)
    }
  }
  for (const [name, kid] of ambiguous) {
    keys.delete(name)
    passOver(kid, 'shares its kid and algorithm with another one')
  }
  return keys
}
