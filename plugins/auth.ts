// Also for types: it declares `request.user`, and a declaration file forgets what ./jwt.ts imports.
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
import jwt, { type Signing } from './jwt.ts'

export type { JwksIssuer } from '../src/tokens/foreign-token.ts'
export type { OwnerId, Principal, Profile } from '../src/tokens/owner.ts'
export type { Access } from './guard.ts'

/** Whose tokens to accept, and what else to ask of one. */
export interface LatchkeyAuthOptions extends Trust {
  /**
   * A last word on a token that is good in every other way; throws to refuse it. A service that only verifies does not
   * hear of a logout: until it expires, the access token of an ended session is good there.
   */
  readonly assertLive?: (user: Principal) => void
  /** Seconds since the epoch. */
  readonly clock?: Clock
}

/** For the service that issues tokens: itself as an issuer, whose keys it does not read from a URL. */
interface IssuingOptions extends LatchkeyAuthOptions {
  readonly issuers?: readonly Issuer[]
  readonly signing?: Signing | undefined
}

/** The same for a service that only verifies, and for the one that issues. */
const auth = fp(
  async (app: FastifyInstance, options: IssuingOptions) => {
    const { issuers: own = [], clock = systemClock, assertLive = () => {}, signing, ...trust } = options
    const caches: JwksCache[] = []
    const keysAt = (url: string, algorithms: readonly string[]) => {
      const warn = (message: string, fields: object) => app.log.warn(fields, message)
      const cache = new JwksCache({ url: new URL(url).href, algorithms, warn })
      caches.push(cache)
      return cache
    }
    const issuers = new Issuers([...own, ...issuersOf(trust, keysAt)])
    await app.register(jwt, { issuers, clock, assertLive: refusing(assertLive), signing })
    await app.register(guard)
    // Not waited for: a service starts while the issuers that it trusts are down.
    app.addHook('onReady', async () => {
      for (const cache of caches) void cache.warmUp()
    })
  },
  { name: 'latchkey-auth', fastify: '5.x' },
)

export default auth

/** Whatever a service throws there, it means that the token is over. */
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
 * that is registered after it: register it with `await`, before the routes. Sets `request.user` and `request.owner`,
 * and answers what it refuses as `application/problem+json` (RFC 9457).
 * @throws Error when nobody is trusted, or a secret or URL cannot be used
 */
export const latchkeyAuth: FastifyPluginAsync<LatchkeyAuthOptions> = auth
