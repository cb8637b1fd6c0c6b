// For its types: it declares `request.user`, and the declaration file does not repeat the imports of ./jwt.ts.
import '@fastify/jwt'
import type { FastifyInstance, FastifyPluginAsync } from 'fastify'
import fp from 'fastify-plugin'
import { type Clock, systemClock } from '../src/clock.ts'
import { Problem } from '../src/problem.ts'
import { type Issuer, Issuers } from '../src/tokens/issuers.ts'
import { JwksCache } from '../src/tokens/jwks-cache.ts'
import type { Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import { issuersOf, type Trust } from '../src/tokens/trust.ts'
import guard from './guard.ts'
import jwt, { type ApiKeyVerifier, type Signing } from './jwt.ts'

export type { JwksIssuer } from '../src/tokens/foreign-token.ts'
export type { OwnerId, Principal, Profile } from '../src/tokens/owner.ts'
export type { Access } from './guard.ts'

export interface LatchkeyAuthOptions extends Trust {
  /**
   * Called with the principal of a valid token; throws to refuse it. A service that only verifies is not notified of a
   * logout: there, the access token of an ended session is valid until it expires.
   */
  readonly assertLive?: (user: Principal) => void
  /** Seconds since the epoch. */
  readonly clock?: Clock
}

/** For the service that issues tokens: its own issuer, whose keys are in memory. */
interface IssuingOptions extends LatchkeyAuthOptions {
  readonly issuers?: readonly Issuer[]
  readonly signing?: Signing | undefined
  readonly apiKeys?: ApiKeyVerifier | undefined
}

const auth = fp(
  async (app: FastifyInstance, options: IssuingOptions) => {
    const {
      issuers: own = [],
      clock = systemClock,
      assertLive = () => {},
      signing,
      apiKeys,
      ...trust
    } = options
    const caches: JwksCache[] = []
    const keysAt = (url: string, algorithms: readonly string[]) => {
      const warn = (message: string, fields: object) => app.log.warn(fields, message)
      const cache = new JwksCache({ url: new URL(url).href, algorithms, warn })
      caches.push(cache)
      return cache
    }
    const issuers = new Issuers([...own, ...issuersOf(trust, keysAt)])
    await app.register(jwt, { issuers, clock, assertLive: refusing(assertLive), signing, apiKeys })
    await app.register(guard, { clock })
    // Not awaited: a service starts while its issuers are down.
    app.addHook('onReady', async () => {
      for (const cache of caches) void cache.warmUp()
    })
  },
  { name: 'latchkey-auth', fastify: '5.x' },
)

export default auth

/** Whatever assertLive throws means that the token is revoked. */
function refusing(assertLive: (user: Principal) => void): (user: Principal) => void {
  return (user) => {
    try {
      assertLive(user)
    } catch (error) {
      throw error instanceof Problem ? error : new TokenRefused('revoked')
    }
  }
}

/**
 * Verifies access tokens and makes `config.access` (`public`, `optional`, `user`, `owner`) the guard of every route
 * that is registered after it: register it with `await`, before the routes. Sets `request.user` and `request.owner`;
 * refusals are `application/problem+json` (RFC 9457).
 * @throws Error without an issuer to trust, or for an invalid secret or URL
 */
export const latchkeyAuth: FastifyPluginAsync<LatchkeyAuthOptions> = auth
