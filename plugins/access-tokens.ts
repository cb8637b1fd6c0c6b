import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import { type AuthenticatedSession, accessTokenClaims } from '../src/keys/access-token-claims.ts'
import type { AccessTokenPolicy } from '../src/tokens/access-token.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Issues an access token that expires in `expiresIn` seconds, and no later than its session. */
    issueAccessToken(
      userId: string,
      session: AuthenticatedSession,
      secondsLeft: number,
    ): { token: string; expiresIn: number }
  }
}

interface AccessTokenOptions {
  readonly policy: AccessTokenPolicy
  readonly clock: Clock
}

/** `app.issueAccessToken()`, which signs with the secret or the current key pair. */
export default fp<AccessTokenOptions>(
  async (app, { policy, clock }) => {
    app.decorate('issueAccessToken', (userId: string, session: AuthenticatedSession, secondsLeft: number) => {
      const lifetime = Math.min(policy.lifetime, secondsLeft)
      const claims = accessTokenClaims({ ...policy, lifetime }, { userId, session, now: clock() })
      const keyring = app.signingKeys
      const token = keyring ? app.jwt.sign(claims, keyring.signingKey()) : app.jwt.sign(claims)
      return { token, expiresIn: lifetime }
    })
  },
  { name: 'latchkey-access-tokens', fastify: '5.x', dependencies: ['latchkey-jwt', 'latchkey-signing-keys'] },
)
