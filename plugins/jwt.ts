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
import { type SharedKeys, verifyingKey } from '../src/tokens/keys.ts'
import type { Principal } from '../src/tokens/owner.ts'

interface JwtOptions {
  readonly keys: SharedKeys
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

    await app.register(jwt, {
      secret: {
        private: keys.current,
        public: (
          request: FastifyRequest,
          _decoded: unknown,
          done: (error: Error | null, key?: string) => void,
        ) => {
          try {
            done(null, verifyingKey(keys, tokenOf(request)))
          } catch (error) {
            done(error as Error)
          }
        },
      },
      sign: { algorithm: 'HS256', header: { alg: 'HS256', typ: accessTokenType } },
      verify: {
        algorithms: ['HS256'],
        // src/tokens/claims.ts decides on time, by the clock that a test can set.
        ignoreExpiration: true,
        ignoreNotBefore: true,
        extractToken(request) {
          const token = parseToken(
            bearerToken({
              headers: headerValues(request.raw.rawHeaders, 'authorization'),
              query: request.query as Record<string, unknown>,
            }),
          )
          request[unverified] = token
          return token.compact
        },
      },
      // Async, so that what it throws rejects jwtVerify.
      trusted: async (request) => {
        const { header, claims } = tokenOf(request)
        checkAccessToken(policy, header, claims, clock())
        assertLive(principalOf(claims as unknown as AccessTokenClaims))
        return true
      },
      formatUser: (claims) => principalOf(claims as AccessTokenClaims),
    })

    app.decorate('issueAccessToken', (userId: string, sessionId: string) => {
      const claims = accessTokenClaims(policy, { userId, sessionId, now: clock() })
      return { token: app.jwt.sign(claims), expiresIn: policy.lifetime }
    })
  },
  { name: 'latchkey-jwt', fastify: '5.x' },
)

function tokenOf(request: FastifyRequest): UnverifiedToken {
  const token = request[unverified]
  if (!token) throw new Error('no token was read')
  return token
}
