import { betterAuthAlgorithms } from './better-auth.ts'
import { issuerWeakness, type JwksIssuer } from './foreign-token.ts'
import { isHttpUrl } from './http-url.ts'
import { DiscoveredJwks, type JwksLocation, jwksAt } from './jwks-location.ts'
import type { KeySource } from './key-source.ts'
import { KeysByAlgorithm } from './keys-by-algorithm.ts'
import { secretWeakness } from './secret.ts'
import { SharedKeys } from './shared-keys.ts'

/** Makes the key source of a JWKS and its accepted algorithms. */
export type KeysAt = (location: JwksLocation, algorithms: readonly string[]) => KeySource

/** What is wrong with an issuer's entry, by member: rules, no values. */
export function issuerFaults({ issuer, jwksUrl, secret, algorithms }: JwksIssuer): {
  readonly member: 'issuer' | 'jwksUrl' | 'secret' | 'algorithms'
  readonly fault: string
}[] {
  const weakIssuer = issuerWeakness(issuer)
  const weakSecret = secret === undefined ? undefined : secretWeakness(secret)
  return [
    ...(weakIssuer ? [{ member: 'issuer' as const, fault: weakIssuer }] : []),
    ...(weakSecret ? [{ member: 'secret' as const, fault: weakSecret }] : []),
    ...(secret !== undefined && algorithms !== undefined
      ? [{ member: 'algorithms' as const, fault: 'must be left out beside a secret, which is for HS256' }]
      : []),
    ...keyFaults(issuer, jwksUrl, secret).map((fault) => ({ member: 'jwksUrl' as const, fault })),
  ]
}

function keyFaults(issuer: string, jwksUrl: string | undefined, secret: string | undefined): string[] {
  if (jwksUrl !== undefined && secret !== undefined) return ['must be left out beside a secret']
  if (jwksUrl !== undefined) {
    return isHttpUrl(jwksUrl, { query: true }) ? [] : ['must be an http(s) URL without credentials']
  }
  if (secret !== undefined || isHttpUrl(issuer)) return []
  return ['or secret must be set where the issuer is not an http(s) URL with a discovery document']
}

/** The keys of an issuer: its secret, its key pairs, or for a Better Auth both. */
export function keysOfIssuer(
  { issuer, jwksUrl, secret, algorithms = betterAuthAlgorithms }: JwksIssuer,
  keysAt: KeysAt,
): KeySource {
  const shared = secret === undefined ? undefined : new SharedKeys(secret, undefined)
  if (shared && jwksUrl === undefined) return shared
  const location = jwksUrl === undefined ? new DiscoveredJwks(issuer) : jwksAt(new URL(jwksUrl).href)
  const published = keysAt(location, algorithms)
  return shared ? new KeysByAlgorithm(shared, published) : published
}
