import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { claimsToBeKey } from '../src/api-keys/text.ts'
import type { Clock } from '../src/clock.ts'
import { headerValues } from '../src/http/raw-headers.ts'
import { accessTokenType } from '../src/tokens/access-token.ts'
import { bearerToken } from '../src/tokens/bearer.ts'
import { checkExpiry } from '../src/tokens/claims.ts'
import type { Issuer, Issuers } from '../src/tokens/issuers.ts'
import { parseToken, type UnverifiedToken } from '../src/tokens/jws.ts'
import type { TokenOutcomes } from '../src/tokens/outcome.ts'
import type { Principal } from '../src/tokens/owner.ts'
import { TokenRefused } from '../src/tokens/refusal.ts'
import type { Service } from '../src/tokens/service.ts'
import { VerifiedTokens } from '../src/tokens/verified-tokens.ts'

/** How access tokens are signed, where they are issued. */
export interface Signing {
  readonly algorithm: 'HS256' | 'EdDSA' | 'ES256' | 'RS256'
  /** The secret, or a function that returns the current private key as PEM. */
  readonly key: string | (() => Promise<string>)
}

interface JwtOptions {
  readonly issuers: Issuers
  readonly clock: Clock
  /** Called with the principal of a valid token; throws to refuse it. */
  readonly assertLive: (user: Principal) => void
  /** Called with the client of a valid token; throws to refuse it. */
  readonly assertCurrent: (service: Service) => void
  readonly signing?: Signing | undefined
  readonly apiKeys?: ApiKeyVerifier | undefined
  /** Undefined where nobody counts them. */
  readonly outcomes?: TokenOutcomes | undefined
}

/** Verifies the bearer tokens that are API keys. */
export interface ApiKeyVerifier {
  /**
   * @returns undefined for a key that is not known yet
   * @throws TokenRefused, Problem service_unavailable
   */
  verifyKnown(text: string): Principal | undefined
  /**
   * @param beforeLookUp called before a key that is not known yet is looked up; may throw
   * @throws TokenRefused, Problem service_unavailable
   */
  verify(text: string, beforeLookUp?: () => Promise<void>): Promise<Principal>
}

const unverified = Symbol('unverified token')

/** A parsed token and the issuer that it claims. */
interface Claimed {
  readonly token: UnverifiedToken
  readonly issuer: Issuer
}

/** Who presents a token, and what it says: a user or a service client, never both. */
export type VerifiedBearer = {
  readonly claims: Readonly<Record<string, unknown>>
  /** Seconds since the epoch. */
  readonly expiresAt: number
} & (
  | { readonly user: Principal; readonly service?: never }
  | { readonly service: Service; readonly user?: never }
)

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: Record<string, unknown>
    /** Null until a guard has verified a token, and without a valid one where access is `optional`. */
    user: Principal | null
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /**
     * Verifies the text of a token or an API key, wherever it comes from.
     * @throws TokenRefused
     * @throws Problem service_unavailable
     */
    verifyBearer(text: string): Promise<VerifiedBearer>
  }
  interface FastifyRequest {
    /**
     * Sets `request.user` from the token; throws or rejects for an invalid one: `jwtVerify()` with a cache of verified
     * signatures, and API keys. For guards.
     * @param beforeSignature called before the signature of a token that is not in the cache is checked, or a key looked
     * up; may reject. With it, a wrong signature is refused at the least cost
     * @returns undefined when the signature was in the cache
     */
    authenticateToken(beforeSignature?: () => Promise<void>): Promise<void> | undefined
    /**
     * Throws when the token of `request.user` has expired or been revoked while the body arrived (TOCTOU). For guards.
     */
    assertTokenStillLive(): void
    [unverified]: Claimed | null
  }
}

/**
 * `request.jwtVerify()` for the tokens of every trusted issuer. @fastify/jwt verifies the signature; src/tokens extracts
 * and parses the token, selects the issuer and checks the claims.
 */
export default fp<JwtOptions>(
  async (app, { issuers, clock, assertLive, assertCurrent, signing, apiKeys, outcomes }) => {
    app.decorateRequest(unverified, null)
    const verifiedTokens = new VerifiedTokens()

    /** @throws TokenRefused malformed, header, issuer */
    function claimedIn(text: string): Claimed {
      const token = parseToken(text)
      const issuer = issuers.of(token)
      if (issuer.strict && token.looseClaims) throw new TokenRefused('malformed')
      return { token, issuer }
    }

    /** Checked for each request, whether or not the signature was in the cache. */
    function admit({ token: { header, claims }, issuer }: Claimed): Principal {
      issuer.check(header, claims, clock())
      const user = issuer.principalOf(claims)
      assertLive(user)
      return user
    }

    function keyOf(
      request: FastifyRequest,
      _token: unknown,
      done: (error: Error | null, key: string | undefined) => void,
    ): void {
      try {
        const { token, issuer } = claimedBy(request)
        const key = issuer.keys.verifyingKey(token)
        if (typeof key === 'string') done(null, key)
        else
          key.then(
            (found) => done(null, found),
            (error) => done(error, undefined),
          )
      } catch (error) {
        done(error as Error, undefined)
      }
    }

    await app.register(jwt, {
      secret: signing ? { private: signing.key, public: keyOf } : { public: keyOf },
      ...(signing
        ? {
            sign: {
              algorithm: signing.algorithm,
              header: { alg: signing.algorithm, typ: accessTokenType },
            },
          }
        : {}),
      verify: {
        algorithms: [...issuers.algorithms] as 'HS256'[],
        // src/tokens/claims.ts checks the times, by a clock that tests replace.
        ignoreExpiration: true,
        ignoreNotBefore: true,
        extractToken(request) {
          const claimed = claimedIn(bearerTokenOf(request as FastifyRequest))
          request[unverified] = claimed
          return claimed.token.compact
        },
      },
      // Async, so that an error rejects jwtVerify.
      trusted: async (request) => {
        const claimed = claimedBy(request)
        admit(claimed)
        if (claimed.issuer.keys.stillVerifies(claimed.token)) verifiedTokens.add(claimed.token)
        return true
      },
      formatUser: (claims) => issuers.of({ claims }).principalOf(claims),
    })

    async function verifySignature(request: FastifyRequest, before?: () => Promise<void>): Promise<void> {
      if (before) {
        await before()
        refuteCheaply(bearerTokenOf(request))
      }
      await request.jwtVerify()
    }

    /** @throws TokenRefused */
    function refuteCheaply(compact: string): void {
      const token = parseToken(compact)
      if (issuers.of(token).keys.refutes?.(token)) throw new TokenRefused('signature')
    }

    const isKey = (text: string) => apiKeys !== undefined && claimsToBeKey(text)

    /** In the cache, the outcome is there without a promise. */
    function authenticate(
      request: FastifyRequest,
      text: string,
      beforeSignature?: () => Promise<void>,
    ): Promise<void> | undefined {
      if (apiKeys && isKey(text)) return verifyKey(request, apiKeys, text, beforeSignature)
      const token = verifiedTokens.get(text)
      const issuer = token && issuers.of(token)
      if (!token || !issuer?.keys.stillVerifies(token)) return verifySignature(request, beforeSignature)
      request.user = admit({ token, issuer })
      return undefined
    }

    function authenticateCounted(
      request: FastifyRequest,
      counts: TokenOutcomes,
      beforeSignature?: () => Promise<void>,
    ): Promise<void> | undefined {
      const text = bearerTokenOf(request)
      const refused = (error: unknown): never => {
        counts.refused(error, text, isKey(text))
        throw error
      }
      try {
        const authenticating = authenticate(request, text, beforeSignature)
        if (authenticating)
          return authenticating.then(() => counts.accepted(request.user ?? undefined), refused)
        counts.accepted(request.user ?? undefined)
        return undefined
      } catch (error) {
        return refused(error)
      }
    }

    app.decorateRequest(
      'authenticateToken',
      function (this: FastifyRequest, beforeSignature?: () => Promise<void>) {
        return outcomes
          ? authenticateCounted(this, outcomes, beforeSignature)
          : authenticate(this, bearerTokenOf(this), beforeSignature)
      },
    )

    async function signedIn(text: string): Promise<Claimed> {
      const known = verifiedTokens.get(text)
      if (known && issuers.of(known).keys.stillVerifies(known))
        return { token: known, issuer: issuers.of(known) }
      const claimed = claimedIn(text)
      const key = await claimed.issuer.keys.verifyingKey(claimed.token)
      try {
        app.jwt.verify(text, { key })
      } catch {
        throw new TokenRefused('signature')
      }
      return claimed
    }

    function bearerOf({ token: { header, claims }, issuer }: Claimed): VerifiedBearer {
      issuer.check(header, claims, clock())
      const expiresAt = claims['exp'] as number
      const service = issuer.serviceOf?.(claims)
      if (service) {
        assertCurrent(service)
        return { service, claims, expiresAt }
      }
      const user = issuer.principalOf(claims)
      assertLive(user)
      return { user, claims, expiresAt }
    }

    async function verify(text: string): Promise<VerifiedBearer> {
      if (apiKeys && isKey(text)) return bearerOfKey(await apiKeys.verify(text))
      const claimed = await signedIn(text)
      const bearer = bearerOf(claimed)
      if (claimed.issuer.keys.stillVerifies(claimed.token)) verifiedTokens.add(claimed.token)
      return bearer
    }

    app.decorate('verifyBearer', async (text: string) => {
      try {
        const bearer = await verify(text)
        outcomes?.accepted(bearer.user)
        return bearer
      } catch (error) {
        outcomes?.refused(error, text, isKey(text))
        throw error
      }
    })

    app.decorateRequest('assertTokenStillLive', function (this: FastifyRequest) {
      if (!this.user) return
      checkExpiry(this.user.expiresAt, clock())
      assertLive(this.user)
    })
  },
  { name: 'latchkey-jwt', fastify: '5.x' },
)

function verifyKey(
  request: FastifyRequest,
  keys: ApiKeyVerifier,
  text: string,
  beforeLookUp?: () => Promise<void>,
): Promise<void> | undefined {
  const known = keys.verifyKnown(text)
  if (!known)
    return keys.verify(text, beforeLookUp).then((user) => {
      request.user = user
    })
  request.user = known
  return undefined
}

/** With what a token of that kind would say, for introspection; `jti` is the id in the feed of revocations. */
function bearerOfKey(user: Principal): VerifiedBearer {
  const { sub, issuedAt: iat, expiresAt: exp, scopes = [], keyId: jti } = user
  return { user, claims: { sub, iat, exp, jti, scope: scopes.join(' ') }, expiresAt: exp }
}

function claimedBy(request: FastifyRequest): Claimed {
  const claimed = request[unverified]
  if (!claimed) throw new Error('no token was read')
  return claimed
}

/**
 * The token of a request.
 * @throws TokenRefused missing, malformed
 * @throws Problem invalid_request
 */
export function bearerTokenOf(request: FastifyRequest): string {
  return bearerToken({
    headers: headerValues(request.raw.rawHeaders, 'authorization'),
    query: request.query as Record<string, unknown>,
  })
}
