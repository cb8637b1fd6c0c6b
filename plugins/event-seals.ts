import fp from 'fastify-plugin'
import { sealKeys } from '../src/event-seals/seal.ts'
import { sealEvents } from '../src/event-seals/sealing.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Seals the security events that no seal covers, now. Never rejects. */
    sealEvents(): Promise<void>
  }
}

interface EventSealOptions {
  readonly secret: string
  readonly previousSecret: string | undefined
}

const sealEveryMs = 10_000

/** Seals the security events of all instances every ten seconds, and logs each seal. */
export default fp<EventSealOptions>(
  async (app, { secret, previousSecret }) => {
    const keys = sealKeys(secret, previousSecret)
    let sealing: Promise<void> | undefined
    let failing = false

    app.decorate('sealEvents', async () => {
      try {
        for (const made of await sealEvents(app.db, keys))
          app.log.info({ event: 'events_sealed', ...made }, 'security events sealed')
        failing = false
      } catch (err) {
        // Once per outage.
        if (!failing) app.log.warn({ err }, 'security events could not be sealed; trying again')
        failing = true
      }
    })

    let timer: NodeJS.Timeout | undefined
    app.onceDatabaseIsThere(async () => {
      timer = setInterval(() => {
        sealing ??= app.sealEvents().finally(() => {
          sealing = undefined
        })
      }, sealEveryMs).unref()
    })
    app.addHook('onClose', async () => {
      clearInterval(timer)
      await sealing
    })
  },
  { name: 'latchkey-event-seals', fastify: '5.x', dependencies: ['latchkey-database'] },
)
