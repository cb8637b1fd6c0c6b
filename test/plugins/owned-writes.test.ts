import t from 'tap'
import type { RouteScope } from '../../plugins/contract/provider.ts'
import tasks from '../../src/resources/tasks.ts'
import { problemOf, signUp, testApp, unauthorized } from '../helper.ts'
import { sign } from '../support/mint.ts'

const task = { title: 'Buy milk', description: null, completed: false }

/** A resource whose routes do not insert users. */
async function noteRoutes(app: RouteScope): Promise<void> {
  app.post('', { config: { access: 'owner' } }, async ({ owner }, reply) => {
    await tasks.rows.insertOwned(app.db, owner, task)
    return reply.code(204).send()
  })
  app.post('/broken', { config: { access: 'owner' } }, async () => {
    throw new Error('not about users')
  })
}

function foreignToken(sub: string): string {
  const now = Math.floor(Date.now() / 1000)
  return sign({ alg: 'HS256', typ: 'JWT' }, { sub, iat: now, exp: now + 900 })
}

t.test('a write of a user without a row: inserted for a foreign user, 401 for a deleted one', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, {
    env: { LOG_LEVEL: 'info' },
    log: (line) => lines.push(line),
    extend: async (app) => {
      await app.register(noteRoutes, { prefix: '/api/:user_id/written_by_test' })
    },
  })
  const alice = await signUp(app, 'alice')
  const write = (token: string, sub: string, path = '') =>
    app.inject({
      method: 'POST',
      url: `/api/${sub}/written_by_test${path}`,
      headers: { authorization: `Bearer ${token}` },
    })
  const titles = async (token: string, sub: string) =>
    (await app.inject({ url: `/api/${sub}/tasks`, headers: { authorization: `Bearer ${token}` } }))
      .json()
      .map(({ title }: { title: string }) => title)

  const [ann, ben] = ['QZ8mFDoeYtPcL3vW1nXsKbR5hJ7aG2uE', 'B7kPcL3vW1nXsKbR5hJ7aG2uEQZ8mFDo']
  t.equal((await write(foreignToken(ann), ann)).statusCode, 204)
  t.same(await titles(foreignToken(ann), ann), ['Buy milk'], 'written once')
  t.equal((await write(foreignToken(ben), ann)).json().code, 'not_owner')
  t.same(await titles(foreignToken(ben), ben), [])

  t.equal((await write(alice.token, alice.id, '/broken')).statusCode, 500, 'other errors are not retried')
  await app.db.deleteFrom('users').where('id', '=', alice.id).execute()
  const refused = await write(alice.token, alice.id)
  t.same(problemOf(refused), unauthorized)
  t.equal(JSON.parse(lines.at(-1) ?? '').reason, 'user_deleted')
  const minted = await write(foreignToken(alice.id), alice.id)
  t.equal(minted.json().code, 'unauthorized', 'the shared secret restores no deleted user')
})
