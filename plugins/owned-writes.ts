import fp from 'fastify-plugin'
import { lacksUserRow } from '../src/db/errors.ts'
import { Problem } from '../src/problem.ts'
import { ensureForeignUser } from '../src/users/foreign-users.ts'

/**
 * Runs the handler of every route with access `owner` again when a row that it wrote referenced a user without one: a
 * trusted issuer's users never signed up here, so their row is inserted first. Any other user was deleted after the
 * token was issued, and gets 401.
 */
export default fp(
  async (app) => {
    app.addHook('onRoute', (route) => {
      if (route.config?.access !== 'owner') return
      const { handler } = route
      route.handler = async function (request, reply) {
        try {
          return await handler.call(this, request, reply)
        } catch (error) {
          if (!lacksUserRow(error)) throw error
        }
        if (!(await ensureForeignUser(app.db, request.caller))) throw userDeleted()
        try {
          return await handler.call(this, request, reply)
        } catch (error) {
          throw lacksUserRow(error) ? userDeleted() : error
        }
      }
    })
  },
  { name: 'latchkey-owned-writes', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-guard'] },
)

function userDeleted(): Problem {
  return new Problem('unauthorized', { reason: 'user_deleted' })
}
