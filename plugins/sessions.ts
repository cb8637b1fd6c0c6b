import fp from 'fastify-plugin'
import type { Clock } from '../src/clock.ts'
import type { Listen } from '../src/db/listen.ts'
import type { SessionPolicy } from '../src/sessions/policy.ts'
import { PublishedRevocations } from '../src/sessions/published-revocations.ts'
import { RevocationFeed } from '../src/sessions/revocation-feed.ts'
import { RevocationLog } from '../src/sessions/revocation-log.ts'
import { Revocations } from '../src/sessions/revocations.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly sessionPolicy: SessionPolicy
    /** Every verified token is checked against them. */
    readonly revocations: Revocations
    /** The same, for services that verify tokens themselves. */
    readonly publishedRevocations: PublishedRevocations
  }
}

interface SessionOptions {
  readonly policy: Omit<SessionPolicy, 'clock'>
  readonly clock: Clock
  readonly listen: Listen | undefined
  readonly pollSeconds: number
}

/** `app.revocations`, kept current by a feed, `app.publishedRevocations` and `app.sessionPolicy`. */
export default fp<SessionOptions>(
  async (app, { policy, clock, listen, pollSeconds }) => {
    const revocations = new Revocations(clock)
    app.decorate('sessionPolicy', { ...policy, clock })
    app.decorate('revocations', revocations)

    const onError = (err: unknown) => app.log.warn({ err }, 'revocations could not be read; trying again')
    const feed = new RevocationFeed({ db: app.db, revocations, listen, pollSeconds, onError })
    const log = new RevocationLog()
    revocations.observe((revocation) => log.append(revocation))
    const position = () => feed.position
    app.decorate('publishedRevocations', new PublishedRevocations({ db: app.db, revocations, log, position }))
    // Readers that wait would hold up the drain.
    app.drainSignal.addEventListener('abort', () => log.readers.release())
    app.onceDatabaseIsThere(() => feed.start())
    app.addHook('onClose', () => feed.stop())
  },
  { name: 'latchkey-sessions', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-connections'] },
)
