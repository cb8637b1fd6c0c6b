import fp from 'fastify-plugin'
import { cleanUp } from '../src/db/clean-up.ts'

const tenMinutes = 600_000

/** Cleans up every ten minutes, give or take, so that many instances do not do it together; doing it twice is harmless. */
export default fp(
  async (app) => {
    const interval = tenMinutes * (0.75 + Math.random() / 2)
    const timer = setInterval(() => {
      cleanUp(app.db).catch((err: unknown) => app.log.warn({ err }, 'clean-up failed; trying again later'))
    }, interval)
    timer.unref()
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'latchkey-clean-up', fastify: '5.x', dependencies: ['latchkey-database'] },
)
