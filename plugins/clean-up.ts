import fp from 'fastify-plugin'
import { cleanUp } from '../src/clean-up/clean-up.ts'
import { deleteUnverified } from '../src/users/claims.ts'

interface CleanUpOptions {
  /** Days after which an account is deleted that waits for its address to be verified; 0 is never. */
  readonly unverifiedDays: number
}

const tenMinutes = 600_000

/** Cleans up every ten minutes, give or take, so that many instances do not do it together; doing it twice is harmless. */
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
