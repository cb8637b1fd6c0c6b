import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import type { Listen } from '../src/db/listen.ts'
import type { SessionPolicy } from '../src/sessions/policy.ts'
import { RevocationFeed } from '../src/sessions/revocation-feed.ts'
import { Revocations } from '../src/sessions/revocations.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly sessionPolicy: SessionPolicy
    /** What every verified token is held against. */
    readonly revocations: Revocations
  }
}

interface SessionOptions {
  readonly policy: Omit<SessionPolicy, 'clock'>
  readonly clock: Clock
  readonly listen: Listen | undefined
  readonly pollSeconds: number
}

/** `app.revocations`, kept up to date while the app runs, and the policy that sessions are made by. */
export default fp<SessionOptions>(
  async (app, { policy, clock, listen, pollSeconds }) => {
    const revocations = new Revocations(clock)
    app.decorate('sessionPolicy', { ...policy, clock })
    app.decorate('revocations', revocations)

    const onError = (err: unknown) => app.log.warn({ err }, 'revocations could not be read; trying again')
    const feed = new RevocationFeed({ db: app.db, revocations, listen, pollSeconds, onError })
    app.onceDatabaseIsThere(() => feed.start())
    app.addHook('onClose', () => feed.stop())
  },
  { name: 'latchkey-sessions', fastify: '5.x', dependencies: ['latchkey-database'] },
)
