// For its types: it declares `request.user`, and the declaration file does not repeat the imports of ./jwt.ts.
import '@fastify/jwt'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { type Clock, systemClock } from '../src/clock.ts'
import { Problem } from '../src/problem.ts'
import type { RevocationFeedOptions } from '../src/sessions/revocation-reader.ts'
import type { JwksIssuer } from '../src/tokens/foreign-token.ts'
import { type Issuer, Issuers } from '../src/tokens/issuers.ts'
import { JwksCache } from '../src/tokens/jwks-cache.ts'
import type { JwksLocation } from '../src/tokens/jwks-location.ts'
import { type OnTokenOutcome, TokenOutcomes } from '../src/tokens/outcome.ts'
import type { Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import type { SecondFactorRule } from '../src/tokens/requirements.ts'
import type { Service } from '../src/tokens/service.ts'
import { foreignIssuers, issuersOf, type Trust } from '../src/tokens/trust.ts'
import { followLatchkey } from './followed-latchkey.ts'
import guard from './guard.ts'
import jwt, { type ApiKeyVerifier, type Signing } from './jwt.ts'
import services, { type ServiceCredentials } from './services.ts'

export type { RevocationFeedOptions } from '../src/sessions/revocation-reader.ts'
export type { JwksIssuer } from '../src/tokens/foreign-token.ts'
export type { OwnerId, Principal, Profile } from '../src/tokens/owner.ts'
export type { Service } from '../src/tokens/service.ts'
export type { Access } from './guard.ts'

export interface LatchkeyAuthOptions extends Trust {
  /**
   * Called with the principal of a valid token; throws to refuse it.
   */
  readonly assertLive?: (user: Principal) => void
  /**
   * Reads the revocations of the Latchkey, so that a logout there ends the token here within a second. Without it, the
   * access token of an ended session is valid until it expires. While nothing was heard for 10 seconds, tokens are
   * answered 503. With the scope `introspect`, API keys of users are accepted, too, where a route has `config.scope`.
   */
  readonly revocations?: RevocationFeedOptions
  /** Seconds since the epoch. */
  readonly clock?: Clock
}

/** For the service that issues tokens: its own issuer, whose keys are in memory. */
interface IssuingOptions extends LatchkeyAuthOptions {
  readonly issuers?: readonly Issuer[]
  /** Of a validated configuration. */
  readonly configuredIssuers?: readonly JwksIssuer[]
  readonly signing?: Signing | undefined
  readonly apiKeys?: ApiKeyVerifier | undefined
  readonly credentials?: ServiceCredentials
  /** Called with the client of a valid token; throws to refuse it. */
  readonly assertCurrent?: (service: Service) => void
  /** REQUIRE_SECOND_FACTOR. */
  readonly secondFactor?: SecondFactorRule
  /** Called with how each verification ended; `own` is the `iss` of own tokens. */
  readonly outcomes?: { readonly own: string; readonly onOutcome: OnTokenOutcome } | undefined
}

const auth = fp(
  async (app: FastifyInstance, options: IssuingOptions) => {
    const { issuers: own = [], clock = systemClock, signing, revocations, ...rest } = options
    const {
      assertLive = () => {},
      configuredIssuers = [],
      credentials,
      assertCurrent = () => {},
      apiKeys,
      secondFactor,
      outcomes,
      ...trust
    } = rest
    const caches: JwksCache[] = []
    const keysAt = (location: JwksLocation, algorithms: readonly string[]) => {
      const warn = (message: string, fields: object) => app.log.warn(fields, message)
      const cache = new JwksCache({ location, algorithms, warn })
      caches.push(cache)
      return cache
    }
    const { longestForeignLifetime = Number.POSITIVE_INFINITY } = trust
    const issuers = new Issuers([
      ...own,
      ...issuersOf(trust, keysAt),
      ...foreignIssuers(configuredIssuers, longestForeignLifetime, keysAt),
    ])
    const latchkey = revocations && followLatchkey(app, revocations, { ...trust, clock })
    const checked = refusing([...(latchkey ? [latchkey.assertLive] : []), assertLive])
    await app.register(jwt, {
      issuers,
      clock,
      assertLive: checked,
      assertCurrent,
      signing,
      apiKeys: apiKeys ?? latchkey?.apiKeys(checked),
      outcomes: outcomes && new TokenOutcomes({ ...outcomes, issuers }),
    })
    await app.register(services, { clock, credentials })
    await app.register(guard, { clock, secondFactor })
    // Not awaited: a service starts while its issuers are down.
    app.addHook('onReady', async () => {
      for (const cache of caches) void cache.warmUp()
    })
  },
  { name: 'latchkey-auth', fastify: '5.x' },
)

export default auth

/** Whatever a check throws means that the token is revoked. */
function refusing(checks: readonly ((user: Principal) => void)[]): (user: Principal) => void {
  return (user) => {
    try {
      for (const check of checks) check(user)
    } catch (error) {
      throw error instanceof Problem ? error : new TokenRefused('revoked')
    }
  }
}

/**
 * Verifies access tokens and makes `config.access` (`public`, `optional`, `user`, `owner`, `service`) the guard of
 * every route that is registered after it: register it with `await`, before the routes. Sets `request.user`,
 * `request.owner` and `request.service`; refusals are `application/problem+json` (RFC 9457).
 * @throws Error without an issuer to trust, or for an invalid secret or URL
 */
export const latchkeyAuth: FastifyPluginAsync<LatchkeyAuthOptions> = auth
