import { latchkeyIssuer } from './access-token.ts'
import { betterAuthAlgorithms, betterAuthIssuer } from './better-auth.ts'
import { issuerWeakness, type JwksIssuer, sharedSecretTokens, trustedIssuer } from './foreign-token.ts'
import { isHttpUrl, isPlainText } from './http-url.ts'
import type { Issuer } from './issuers.ts'
import { signatureAlgorithms } from './jwk.ts'
import type { KeySource } from './key-source.ts'
import { secretWeakness } from './secret.ts'
import { SharedKeys } from './shared-keys.ts'

/** Whose tokens to accept. */
export interface Trust {
  /** PUBLIC_URL of a Latchkey: its access tokens are verified with the keys that it publishes, or with `secret`. */
  readonly latchkeyUrl?: string
  /** AUDIENCE of that Latchkey, where it is not its PUBLIC_URL. */
  readonly audience?: string
  /** URL of that Latchkey's JWKS, where this service cannot reach it at its PUBLIC_URL. */
  readonly jwksUrl?: string
  /** SECRET_KEY of a Latchkey with ALGORITHM=HS256; tokens without `iss` that it signs are accepted too. */
  readonly secret?: string
  /** SECRET_KEY_PREVIOUS. */
  readonly previousSecret?: string
  /** Origin of a Better Auth server with its JWT plugin. */
  readonly betterAuthUrl?: string
  readonly trustedIssuers?: readonly JwksIssuer[]
  /** Maximum of `exp - iat` in seconds for tokens of other issuers; unbounded by default. */
  readonly longestForeignLifetime?: number
}

/** The maximum of ACCESS_TOKEN_EXPIRE_MINUTES, in seconds. */
const longestLifetime = 86_400

/**
 * The issuers of the options.
 * @param keysAt makes the key source of a JWKS URL and its accepted algorithms
 * @throws Error for an invalid secret or URL
 */
export function issuersOf(
  trust: Trust,
  keysAt: (url: string, algorithms: readonly string[]) => KeySource,
): Issuer[] {
  const { betterAuthUrl, longestForeignLifetime = Number.POSITIVE_INFINITY } = trust
  const own = trust.latchkeyUrl?.replace(/\/+$/, '')
  // It is compared with `iss` as a string: another spelling would refuse every token.
  if (own !== undefined && !isHttpUrl(own)) throw new Error('latchkeyUrl must be an http(s) URL')
  const { audience = own } = trust
  if (audience !== undefined && !isPlainText(audience)) {
    throw new Error('audience must be a text without white space around it')
  }
  for (const name of ['jwksUrl', 'betterAuthUrl'] as const) {
    if (trust[name] && !isHttpUrl(trust[name], { query: true }))
      throw new Error(`${name} must be an http(s) URL`)
  }
  const shared = sharedKeys(trust)
  const foreign = [
    ...(betterAuthUrl ? [betterAuthIssuer(betterAuthUrl)] : []),
    ...(trust.trustedIssuers ?? []),
  ]
  for (const { issuer, jwksUrl } of foreign) {
    const weakness = issuerWeakness(issuer)
    if (weakness) throw new Error(`the issuer of a trusted issuer ${weakness}`)
    if (!isHttpUrl(jwksUrl, { query: true }))
      throw new Error('the jwksUrl of a trusted issuer must be an http(s) URL')
  }
  return [
    ...(own !== undefined && audience !== undefined
      ? [
          latchkeyIssuer(
            { issuer: own, audience, lifetime: longestLifetime },
            shared ?? keysAt(trust.jwksUrl ?? `${own}/.well-known/jwks.json`, signatureAlgorithms),
          ),
        ]
      : []),
    ...(shared
      ? [sharedSecretTokens(shared, { audience: audience ?? '', longestLifetime: longestForeignLifetime })]
      : []),
    ...foreign.map(({ jwksUrl, algorithms = betterAuthAlgorithms, ...issuer }) =>
      trustedIssuer({ ...issuer, longestLifetime: longestForeignLifetime }, keysAt(jwksUrl, algorithms)),
    ),
  ]
}

function sharedKeys({ secret, previousSecret }: Trust): SharedKeys | undefined {
  for (const text of [secret, previousSecret]) {
    const weakness = text === undefined ? undefined : secretWeakness(text)
    if (weakness) throw new Error(`the shared secret ${weakness}`)
  }
  return secret === undefined ? undefined : new SharedKeys(secret, previousSecret)
}
