import t from 'tap'
import { admin } from '../../../examples/admin/admin.ts'
import { signUp, twoUsers } from '../../helper.ts'
import { deskEnv as env } from '../../support/desk.ts'
import { mailTo } from '../../support/mailbox.ts'
import { clientSecret } from '../../support/service-client.ts'

t.test('the tool lists, bans and invites', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const desk = { url, clientId: 'desk', clientSecret }
  const run = (...args: string[]) => admin(desk, args)

  t.same(await run('list'), [
    `${alice.id}\t${alice.email}\talice\tactive`,
    `${bob.id}\t${bob.email}\tbob\tactive`,
  ])
  t.same(await run('list', bob.email), [`${bob.id}\t${bob.email}\tbob\tactive`])

  t.same(await run('ban', alice.id, 'Spam'), [`${alice.id} is banned`])
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  t.match(await run('list', alice.email), [/banned until lifted: Spam$/])
  t.same(await run('unban', alice.id), [`${alice.id} is not banned`])

  const [invited] = await run('invite', 'new@example.com', 'New User')
  t.match(invited, /^new@example\.com is invited as user_/)
  t.match(await mailTo(app, 'new@example.com'), [{ name: 'invitation' }])

  await t.rejects(run('invite', 'new@example.com'), { message: '409: Email already registered' })
  await t.rejects(run('ban', alice.id, 'Spam', 'soon'), { message: /^400: .*; until / })
  await t.rejects(run('ban', 'nobody', 'Spam'), { message: '404: User not found' })
  await t.rejects(run('promote', alice.id), { message: /^usage: / })
  await t.rejects(admin({ ...desk, clientSecret: 'wrong' }, ['list']), { message: /^no token .* 401/ })
  await t.rejects(admin({ ...desk, clientId: 'writer' }, ['list']), {
    message: /^no token for admin:read: 400/,
  })
})

t.test('the list follows the pages', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  await signUp(app, 'carol')
  await app.db
    .insertInto('users')
    .values(
      Array.from({ length: 120 }, (_, n) => ({ id: `imported-${n}`, email: `${n}@example.com`, name: 'x' })),
    )
    .execute()
  const url = await app.listen({ port: 0, host: '127.0.0.1' })
  const lines = await admin({ url, clientId: 'desk', clientSecret }, ['list'])
  t.equal(lines.length, 123)
  t.ok(lines.some((line) => line.startsWith(alice.id)))
})
