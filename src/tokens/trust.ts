import { latchkeyIssuer } from './access-token.ts'
import { betterAuthIssuer } from './better-auth.ts'
import { type JwksIssuer, sharedSecretTokens, trustedIssuer } from './foreign-token.ts'
import { isHttpUrl, isPlainText } from './http-url.ts'
import { issuerFaults, type KeysAt, keysOfIssuer } from './issuer-keys.ts'
import type { Issuer } from './issuers.ts'
import { signatureAlgorithms } from './jwk.ts'
import { jwksAt } from './jwks-location.ts'
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
  /** Its BETTER_AUTH_SECRET, where a signing function of its own makes HS256 tokens. */
  readonly betterAuthSecret?: string
  readonly trustedIssuers?: readonly JwksIssuer[]
  /** Maximum of `exp - iat` in seconds for tokens of other issuers; unbounded by default. */
  readonly longestForeignLifetime?: number
}

/** The maximum of ACCESS_TOKEN_EXPIRE_MINUTES, in seconds. */
const longestLifetime = 86_400

/**
 * The issuers of the options.
 * @throws Error for an invalid secret or URL
 */
export function issuersOf(trust: Trust, keysAt: KeysAt): Issuer[] {
  const { longestForeignLifetime = Number.POSITIVE_INFINITY } = trust
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
  return [
    ...(own !== undefined && audience !== undefined
      ? [
          latchkeyIssuer(
            { issuer: own, audience, lifetime: longestLifetime },
            shared ?? keysAt(jwksAt(trust.jwksUrl ?? `${own}/.well-known/jwks.json`), signatureAlgorithms),
          ),
        ]
      : []),
    ...(shared
      ? [sharedSecretTokens(shared, { audience: audience ?? '', longestLifetime: longestForeignLifetime })]
      : []),
    ...foreignIssuers(configuredIssuers(trust), longestForeignLifetime, keysAt),
  ]
}

/**
 * The issuers of validated entries.
 * @param longestLifetime maximum of `exp - iat` of their tokens, in seconds
 */
export function foreignIssuers(
  entries: readonly JwksIssuer[],
  longestLifetime: number,
  keysAt: KeysAt,
): Issuer[] {
  return entries.map((entry) => trustedIssuer({ ...entry, longestLifetime }, keysOfIssuer(entry, keysAt)))
}

function configuredIssuers({ betterAuthUrl, betterAuthSecret, trustedIssuers = [] }: Trust): JwksIssuer[] {
  if (betterAuthSecret !== undefined) {
    const weakness = betterAuthUrl ? secretWeakness(betterAuthSecret) : 'needs betterAuthUrl'
    if (weakness) throw new Error(`betterAuthSecret ${weakness}`)
  }
  for (const entry of trustedIssuers) {
    const [first] = issuerFaults(entry)
    if (first) throw new Error(`the ${first.member} of a trusted issuer ${first.fault}`)
  }
  return [...(betterAuthUrl ? [betterAuthIssuer(betterAuthUrl, betterAuthSecret)] : []), ...trustedIssuers]
}

function sharedKeys({ secret, previousSecret }: Trust): SharedKeys | undefined {
  for (const text of [secret, previousSecret]) {
    const weakness = text === undefined ? undefined : secretWeakness(text)
    if (weakness) throw new Error(`the shared secret ${weakness}`)
  }
  return secret === undefined ? undefined : new SharedKeys(secret, previousSecret)
}
