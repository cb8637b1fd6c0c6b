import { latchkeyIssuer } from './access-token.ts'
import { betterAuthAlgorithms, betterAuthIssuer } from './better-auth.ts'
import { issuerWeakness, type JwksIssuer, sharedSecretTokens, trustedIssuer } from './foreign-token.ts'
import { isHttpUrl, isPlainText } from './http-url.ts'
import type { Issuer } from './issuers.ts'
import { signatureAlgorithms } from './jwk.ts'
import type { KeySource } from './key-source.ts'
import { secretWeakness } from './secret.ts'
import { SharedKeys } from './shared-keys.ts'

/** Whose tokens to accept. What is not given is not trusted. */
export interface Trust {
  /** PUBLIC_URL of a Latchkey: its access tokens are verified with the keys that it publishes, or with `secret`. */
  readonly latchkeyUrl?: string
  /** AUDIENCE of that Latchkey, where it is not its PUBLIC_URL. */
  readonly audience?: string
  /** Where that Latchkey's keys are read, where it is not under its PUBLIC_URL that this service reaches it. */
  readonly jwksUrl?: string
  /** SECRET_KEY of a Latchkey with ALGORITHM=HS256; tokens without `iss` that it signs are accepted too. */
  readonly secret?: string
  /** SECRET_KEY_PREVIOUS. */
  readonly previousSecret?: string
  /** Origin of a Better Auth server with its JWT plugin. */
  readonly betterAuthUrl?: string
  readonly trustedIssuers?: readonly JwksIssuer[]
  /** Seconds from `iat` to `exp` that a token may live that is not a Latchkey's; unbounded unless said. */
  readonly longestForeignLifetime?: number
}

/** How long an access token of a Latchkey may live: the most that ACCESS_TOKEN_EXPIRE_MINUTES takes. */
const longestLifetime = 86_400

/**
 * The issuers that options stand for.
 * @param keysAt gives the keys that a JWKS URL has for algorithms
 * @throws Error when a secret or URL is none
 */
export function issuersOf(
  trust: Trust,
  keysAt: (url: string, algorithms: readonly string[]) => KeySource,
): Issuer[] {
  const { betterAuthUrl, longestForeignLifetime = Number.POSITIVE_INFINITY } = trust
  const own = trust.latchkeyUrl?.replace(/\/+$/, '')
  // What is only compared must be checked too: another spelling would refuse every token.
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
