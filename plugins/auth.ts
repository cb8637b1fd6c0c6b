// For its types: it declares `request.user`, and the declaration file does not repeat the imports of ./jwt.ts.
import '@fastify/jwt'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { type Clock, systemClock } from '../src/clock.ts'
import { Problem } from '../src/problem.ts'
import { type RevocationFeedOptions, RevocationReader } from '../src/sessions/revocation-reader.ts'
import { Revocations } from '../src/sessions/revocations.ts'
import type { JwksIssuer } from '../src/tokens/foreign-token.ts'
import { type Issuer, Issuers } from '../src/tokens/issuers.ts'
import { JwksCache } from '../src/tokens/jwks-cache.ts'
import type { JwksLocation } from '../src/tokens/jwks-location.ts'
import type { Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import type { SecondFactorRule } from '../src/tokens/requirements.ts'
import type { Service } from '../src/tokens/service.ts'
import { foreignIssuers, issuersOf, type Trust } from '../src/tokens/trust.ts'
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
   * answered 503.
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
    const checks = [
      ...(revocations ? [revocationCheck(app, revocations, { ...trust, clock })] : []),
      assertLive,
    ]
    await app.register(jwt, {
      issuers,
      clock,
      assertLive: refusing(checks),
      assertCurrent,
      signing,
      apiKeys,
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

/** For how long the start waits for the first reading. */
const maxStartMs = 2_000

/** Holds tokens against the revocations of the Latchkey, in memory. */
function revocationCheck(
  app: FastifyInstance,
  options: RevocationFeedOptions,
  { latchkeyUrl = '', clock }: Trust & { readonly clock: Clock },
): (user: Principal) => void {
  const revocations = new Revocations(clock)
  const reader = new RevocationReader({ url: latchkeyUrl, ...options, revocations, log: app.log })
  app.addHook('onReady', async () => {
    await Promise.race([reader.start(), delay(maxStartMs, undefined, { ref: false })])
  })
  app.addHook('preClose', async () => reader.stop())
  return (user) => revocations.assertLive(user)
}

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
