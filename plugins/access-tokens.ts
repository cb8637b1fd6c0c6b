import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { type AuthenticatedSession, accessTokenClaims } from '../src/keys/access-token-claims.ts'
import { clientTokenClaims } from '../src/keys/client-token-claims.ts'
import type { AccessTokenPolicy } from '../src/tokens/access-token.ts'
import type { Service } from '../src/tokens/service.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Issues an access token that expires in `expiresIn` seconds, and no later than its session. */
    issueAccessToken(
      userId: string,
      session: AuthenticatedSession,
      secondsLeft: number,
    ): { token: string; expiresIn: number }
    /** Issues an access token of a service client, with the scopes given. */
    issueClientToken(service: Service): { token: string; expiresIn: number }
  }
}

interface AccessTokenOptions {
  readonly policy: AccessTokenPolicy
  readonly clock: Clock
}

/** `app.issueAccessToken()` and `app.issueClientToken()`, which sign with the secret or the current key pair. */
export default fp<AccessTokenOptions>(
  async (app, { policy, clock }) => {
    function sign(claims: Readonly<Record<string, unknown>>): string {
      const keyring = app.signingKeys
      return keyring ? app.jwt.sign(claims, keyring.signingKey()) : app.jwt.sign(claims)
    }

    app.decorate('issueAccessToken', (userId: string, session: AuthenticatedSession, secondsLeft: number) => {
      const lifetime = Math.min(policy.lifetime, secondsLeft)
      const claims = accessTokenClaims({ ...policy, lifetime }, { userId, session, now: clock() })
      return { token: sign(claims), expiresIn: lifetime }
    })
    app.decorate('issueClientToken', (service: Service) => ({
      token: sign(clientTokenClaims(policy, service, clock())),
      expiresIn: policy.lifetime,
    }))
  },
  { name: 'latchkey-access-tokens', fastify: '5.x', dependencies: ['latchkey-jwt', 'latchkey-signing-keys'] },
)
