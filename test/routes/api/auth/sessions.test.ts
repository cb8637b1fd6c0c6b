import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { eventsOf, password, problemOf, type TestUser, twoUsers } from '../../../helper.ts'

interface OpenSession {
  token: string
  refresh_token: string
}

const logIn = async (app: FastifyInstance, user: TestUser, userAgent = 'test'): Promise<OpenSession> => {
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email: user.email, password },
    headers: { 'user-agent': userAgent },
    remoteAddress: '192.0.2.7',
  })
  if (answer.statusCode !== 200) throw new Error(`login answered ${answer.statusCode}: ${answer.body}`)
  return answer.json()
}

const me = async (app: FastifyInstance, token: string) =>
  (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })).statusCode

const refreshStatus = async (app: FastifyInstance, { refresh_token }: OpenSession) =>
  (await app.inject({ method: 'POST', url: '/api/auth/refresh', payload: { refresh_token } })).statusCode

/** Whether both tokens of a session are refused. */
const hasEnded = async (app: FastifyInstance, session: OpenSession) =>
  (await me(app, session.token)) === 401 && (await refreshStatus(app, session)) === 401

const logOut = (app: FastifyInstance, token: string, payload?: object) =>
  app.inject({
    method: 'POST',
    url: '/api/auth/logout',
    ...(payload ? { payload } : {}),
    headers: { authorization: `Bearer ${token}` },
  })

t.test('the list shows the client of each session, newest first, and marks the current one', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const phone = await logIn(app, alice, `Phone/1.0 \u001b[31m${'x'.repeat(300)}`)
  const answer = await app.inject({
    url: '/api/auth/sessions',
    headers: { authorization: `Bearer ${phone.token}` },
  })
  t.equal(answer.statusCode, 200)
  const [first, second, ...others] = answer.json()
  t.same(others, [])
  t.match(first, { ip: '192.0.2.7', current: true, user_agent: /^Phone\/1\.0 \?\[31mx+$/ })
  t.equal(first.user_agent.length, 255)
  t.match(second, { ip: '127.0.0.1', current: false })
  t.same(Object.keys(first), [
    'id',
    'created_at',
    'last_used_at',
    'expires_at',
    'ip',
    'user_agent',
    'current',
  ])
  t.equal((await bob.call('GET', '/api/auth/sessions')).json().length, 1, 'only the own sessions')
})

t.test('a user can end a session of their own, not of another user', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const phone = await logIn(app, alice)
  const [{ id }] = (await alice.call('GET', '/api/auth/sessions')).json()

  const none = 'session_01kb3v5rs1e2wbhx4hrsz3zj5f'
  const refusals = [
    await bob.call('DELETE', `/api/auth/sessions/${id}`),
    await bob.call('DELETE', `/api/auth/sessions/${none}`),
  ]
  for (const refusal of refusals) t.match(problemOf(refusal), { status: 404, code: 'session_not_found' })
  t.same(
    problemOf(refusals[0] as never),
    problemOf(refusals[1] as never),
    'a foreign session gets the same answer as an unknown one',
  )
  t.equal(await me(app, phone.token), 200)

  t.equal((await alice.call('DELETE', `/api/auth/sessions/${id}`)).statusCode, 204)
  t.ok(await hasEnded(app, phone))
  t.equal(await me(app, alice.token), 200)
  t.equal((await alice.call('DELETE', `/api/auth/sessions/${id}`)).statusCode, 404, 'once')
})

t.test('logout ends this session, the others, or all', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const [one, two, three] = [await logIn(app, alice), await logIn(app, alice), await logIn(app, alice)]

  t.equal((await logOut(app, one.token)).statusCode, 204, 'no body: this one')
  t.ok(await hasEnded(app, one))
  t.equal((await logOut(app, one.token)).statusCode, 401, 'a second logout has no session to end')

  t.equal((await logOut(app, two.token, { scope: 'others' })).statusCode, 204)
  t.ok(await hasEnded(app, three))
  t.equal(await me(app, alice.token), 401)
  t.equal(await me(app, two.token), 200)

  const four = await logIn(app, alice)
  t.equal((await logOut(app, four.token, { scope: 'all' })).statusCode, 204)
  for (const session of [two, four]) t.ok(await hasEnded(app, session))
  t.equal(await me(app, bob.token), 200, 'another user is not affected')

  for (const payload of [{ scope: 'everything' }, { scope: null }, { scope: 'all', user_id: bob.id }]) {
    t.match(problemOf(await logOut(app, bob.token, payload)), { status: 400, code: 'validation_failed' })
  }
  const nothing = await app.inject({
    method: 'POST',
    url: '/api/auth/logout',
    payload: 'null',
    headers: { authorization: `Bearer ${bob.token}`, 'content-type': 'application/json' },
  })
  t.match(problemOf(nothing), { status: 400, code: 'validation_failed' }, 'null is not an object')
  t.equal(await me(app, bob.token), 200, 'a refused logout ends nothing')
  const events = await eventsOf(app, alice)
  t.equal(events.filter((event) => event === 'session_ended').length, 5)
})

t.test('the 21st session ends the oldest, under 50 concurrent logins (B15)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const sessions = await Promise.all(Array.from({ length: 50 }, () => logIn(app, alice)))
  t.equal(await me(app, alice.token), 401, 'the first one has ended')
  const live = await Promise.all(sessions.map(({ token }) => me(app, token)))
  t.equal(live.filter((status) => status === 200).length, 20)
  const rows = await app.db.selectFrom('sessions').select('id').where('user_id', '=', alice.id).execute()
  t.equal(rows.length, 20)
  t.equal(await me(app, bob.token), 200)
})

t.test('a password change requires the current one and ends every other session (D09, B10)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const other = await logIn(app, alice)
  const change = (current_password: string, new_password: string) =>
    alice.call('PUT', '/api/auth/password', { current_password, new_password })

  t.match(problemOf(await change('not the password', 'another password')), {
    status: 401,
    code: 'invalid_credentials',
  })
  t.match(problemOf(await change(password, 'short')), {
    code: 'validation_failed',
    errors: [{ path: 'new_password' }],
  })
  t.match(problemOf(await change(password, password)), {
    code: 'validation_failed',
    errors: [{ path: 'new_password' }],
  })
  t.match(problemOf(await alice.call('PUT', '/api/auth/password', { new_password: 'another password' })), {
    status: 400,
  })
  t.equal(await me(app, other.token), 200, 'refused changes end no session')

  t.equal((await change(password, 'another password')).statusCode, 204)
  t.ok(await hasEnded(app, other))
  t.equal(await me(app, alice.token), 200, 'this session continues')
  await t.rejects(logIn(app, alice), /401/, 'the old password is refused')
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email: alice.email, password: 'another password' },
  })
  t.equal(answer.statusCode, 200)
  t.equal(await me(app, bob.token), 200)
  t.same((await eventsOf(app, alice)).sort(), [
    'login',
    'login',
    'login_failed',
    'password_changed',
    'reauthentication_failed',
    'session_ended',
  ])
})

t.test('of two concurrent password changes, one succeeds', async (t) => {
  const { alice } = await twoUsers(t)
  const answers = await Promise.all(
    ['the first new one', 'the second new one'].map((new_password) =>
      alice.call('PUT', '/api/auth/password', { current_password: password, new_password }),
    ),
  )
  t.same(answers.map((answer) => answer.statusCode).sort(), [204, 401])
})

t.test(
  'deleting the account requires the password and deletes its sessions and tasks (F06, B10)',
  async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    const other = await logIn(app, alice)
    await alice.call('POST', alice.tasks, { title: 'mine' })
    await bob.call('POST', bob.tasks, { title: 'his' })

    const wrong = await alice.call('POST', '/api/auth/me/delete', { password: 'not the password' })
    t.match(problemOf(wrong), { status: 401, code: 'invalid_credentials' })
    t.equal((await alice.call('POST', '/api/auth/me/delete', { password })).statusCode, 204)

    t.ok(await hasEnded(app, other))
    for (const url of ['/api/auth/me', '/api/auth/sessions', alice.tasks]) {
      t.equal((await alice.call('GET', url)).statusCode, 401, url)
    }
    await t.rejects(logIn(app, alice), /401/)
    const count = async (table: 'users' | 'sessions' | 'tasks') =>
      (await app.db.selectFrom(table).selectAll().execute()).length
    t.same(
      await Promise.all([count('users'), count('sessions'), count('tasks')]),
      [1, 1, 1],
      "only bob's remain",
    )
    t.equal((await bob.call('GET', bob.tasks)).json().length, 1)
  },
)
