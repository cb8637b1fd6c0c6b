import fp from 'fastify-plugin'
import type { Db } from '../src/db/schema.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly db: Db
  }
}

/** `app.db`: the database, closed with the app. */
export default fp<{ readonly db: Db }>(
  async (app, { db }) => {
    app.decorate('db', db)
    app.addHook('onClose', () => db.destroy())
  },
  { name: 'latchkey-database', fastify: '5.x' },
)
