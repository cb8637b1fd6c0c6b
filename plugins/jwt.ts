import jwt from '@fastify/jwt'
import type { FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { headerValues } from '../src/raw-headers.ts'
import { bearerToken } from '../src/tokens/bearer.ts'
import {
  type AccessTokenClaims,
  type AccessTokenPolicy,
  accessTokenClaims,
  accessTokenType,
  checkAccessToken,
  principalOf,
} from '../src/tokens/claims.ts'
import { parseToken, type UnverifiedToken } from '../src/tokens/jws.ts'
import type { Keyring } from '../src/tokens/keyring.ts'
import { type SharedKeys, verifyingKey } from '../src/tokens/keys.ts'
import type { Principal } from '../src/tokens/owner.ts'
import { VerifiedTokens } from '../src/tokens/verified-tokens.ts'

interface JwtOptions {
  /** The secrets of HS256, or the key pairs of another algorithm. */
  readonly keys: SharedKeys | Keyring
  readonly policy: AccessTokenPolicy
  readonly clock: Clock
  /** A last word on a token that is good in every other way; throws to refuse it. */
  readonly assertLive: (user: Principal) => void
}

const unverified = Symbol('unverified token')

declare module '@fastify/jwt' {
  interface FastifyJWT {
    payload: AccessTokenClaims
    /** Null until a guard has verified a token, and for good where access is `optional` and there was none. */
    user: Principal | null
  }
}

declare module 'fastify' {
  interface FastifyInstance {
    /** Signs an access token for a session; it lives for `expiresIn` seconds. */
    issueAccessToken(userId: string, sessionId: string): { token: string; expiresIn: number }
  }
  interface FastifyRequest {
    /**
     * Sets `request.user` from the token, or throws: `jwtVerify()`, without the signature's cost for a token that
     * verified before. For guards.
     */
    authenticateToken(): Promise<void>
    [unverified]: UnverifiedToken | null
  }
}

/**
 * `request.jwtVerify()` for the tokens made here. @fastify/jwt checks the signature; what comes before (how a
 * token may be written and where it may stand) and after (what its claims must say) is in src/tokens.
 */
export default fp<JwtOptions>(
  async (app, { keys, policy, clock, assertLive }) => {
    app.decorateRequest(unverified, null)
    const keyring = 'current' in keys ? null : keys
    const algorithm = keyring?.algorithm ?? 'HS256'
    // An HMAC costs about what a look-up does.
    const verifiedTokens = keyring ? new VerifiedTokens() : null

    /** What a token must pass each time, however its signature was checked. */
    function admit({ header, claims }: UnverifiedToken): Principal {
      checkAccessToken(policy, header, claims, clock())
      const user = principalOf(claims as unknown as AccessTokenClaims)
      assertLive(user)
      return user
    }

    await app.register(jwt, {
      secret: {
        // Key pairs change; issueAccessToken names the one that signs.
        private: 'current' in keys ? keys.current : async () => keys.signingKey().key,
        public: (
          request: FastifyRequest,
          _decoded: unknown,
          done: (error: Error | null, key?: string) => void,
        ) => {
          try {
            const token = tokenOf(request)
            const key = 'current' in keys ? verifyingKey(keys, token) : keys.verifyingKey(token)
            if (typeof key === 'string') done(null, key)
            else key.then((found) => done(null, found), done)
          } catch (error) {
            done(error as Error)
          }
        },
      },
      sign: { algorithm, header: { alg: algorithm, typ: accessTokenType } },
      verify: {
        algorithms: [algorithm],
        // src/tokens/claims.ts decides on time, by the clock that a test can set.
        ignoreExpiration: true,
        ignoreNotBefore: true,
        extractToken(request) {
          const token = parseToken(bearerTokenOf(request as FastifyRequest))
          request[unverified] = token
          return token.compact
        },
      },
      // Async, so that what it throws rejects jwtVerify.
      trusted: async (request) => {
        const token = tokenOf(request)
        admit(token)
        verifiedTokens?.add(token)
        return true
      },
      formatUser: (claims) => principalOf(claims as AccessTokenClaims),
    })

    app.decorateRequest('authenticateToken', async function (this: FastifyRequest) {
      const known = verifiedTokens?.get(bearerTokenOf(this))
      if (!known || !keyring?.publishes(known.header['kid'])) {
        await this.jwtVerify()
        return
      }
      this.user = admit(known)
    })

    app.decorate('issueAccessToken', (userId: string, sessionId: string) => {
      const claims = accessTokenClaims(policy, { userId, sessionId, now: clock() })
      const token = keyring ? app.jwt.sign(claims, keyring.signingKey()) : app.jwt.sign(claims)
      return { token, expiresIn: policy.lifetime }
    })
  },
  { name: 'latchkey-jwt', fastify: '5.x' },
)

function tokenOf(request: FastifyRequest): UnverifiedToken {
  const token = request[unverified]
  if (!token) throw new Error('no token was read')
  return token
}

function bearerTokenOf(request: FastifyRequest): string {
  return bearerToken({
    headers: headerValues(request.raw.rawHeaders, 'authorization'),
    query: request.query as Record<string, unknown>,
  })
}
