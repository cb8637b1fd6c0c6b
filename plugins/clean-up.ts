import fp from 'fastify-plugin'
import { cleanUp } from '../src/clean-up/clean-up.ts'
import { deleteUnverified } from '../src/users/claims.ts'

interface CleanUpOptions {
  /** Days after which unverified accounts are deleted; 0: never. */
  readonly unverifiedDays: number
}

const tenMinutes = 600_000

/** Cleans up about every ten minutes, with jitter, so that instances do not run it at once. */
export default fp<CleanUpOptions>(
  async (app, { unverifiedDays }) => {
    const interval = tenMinutes * (0.75 + Math.random() / 2)
    const timer = setInterval(() => {
      const failed = (err: unknown) => app.log.warn({ err }, 'clean-up failed; trying again later')
      cleanUp(app.db).catch(failed)
      if (unverifiedDays > 0) deleteUnverified(app.db, unverifiedDays).catch(failed)
    }, interval)
    timer.unref()
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'latchkey-clean-up', fastify: '5.x', dependencies: ['latchkey-database'] },
)
