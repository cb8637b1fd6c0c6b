import type { FastifyInstance } from 'fastify'
import t from 'tap'
import {
  eventsOf,
  keptOpen,
  migratedDatabase,
  password,
  problemOf,
  signUp,
  type TestUser,
  testApp,
  twoUsers,
} from '../../../../helper.ts'
import { enrol } from '../../../../support/authenticator.ts'
import { deskOf, deskEnv as env, foreignKey, foreignToken, on } from '../../../../support/desk.ts'
import { post, tokenTo } from '../../../../support/mailbox.ts'
import { basic, form } from '../../../../support/service-client.ts'

const ban = { reason: 'Spam' }
const disabled = { status: 403, code: 'account_disabled' }
const logIn = (app: FastifyInstance, user: TestUser, given = password) =>
  post(app, 'login', { email: user.email, password: given })

const withToken = (app: FastifyInstance, token: string, url = '/api/auth/me') =>
  app.inject({ url, headers: { authorization: `Bearer ${token}` } })

t.test('a ban ends everything of the user, and nothing of another', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const desk = deskOf(app)
  const wanted = { name: 'Export', scopes: ['tasks:read'], expires_in_days: 1 }
  const { key } = (await alice.call('POST', '/api/auth/keys', wanted)).json()
  t.equal((await withToken(app, key, alice.tasks)).statusCode, 200)

  t.equal((await desk('POST', on(alice.id, 'ban'), ban)).statusCode, 204)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await withToken(app, key, alice.tasks)).statusCode, 401)
  t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
  const { json } = await app.inject(
    form('/oauth/introspect', { token: alice.token }, { authorization: basic('desk') }),
  )
  t.same(json(), { active: false })
  const asked = await withToken(app, alice.token, '/gateway/verify')
  t.equal(asked.statusCode, 401)

  t.match(problemOf(await logIn(app, alice)), disabled)
  t.match(problemOf(await logIn(app, alice, 'wrong password')), { status: 401, code: 'invalid_credentials' })
  const taken = await post(app, 'signup', { email: alice.email, password, name: 'x' })
  t.match(problemOf(taken), { status: 400, code: 'email_already_registered' })
  t.same(await eventsOf(app, alice), [
    'api_key_created',
    'session_ended',
    'api_key_ended',
    'user_banned',
    'login_failed',
    'login_failed',
  ])

  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  t.equal((await logIn(app, bob)).statusCode, 200)

  t.equal((await desk('POST', on(alice.id, 'unban'))).statusCode, 204)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401, 'no session is restored')
  t.equal((await withToken(app, key, alice.tasks)).statusCode, 401)
  t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
  const again = await logIn(app, alice)
  t.equal(again.statusCode, 200)
  t.equal((await withToken(app, again.json().token)).statusCode, 200)
  t.equal((await desk('POST', on(alice.id, 'unban'))).statusCode, 204, 'not banned: nothing changes')
})

t.test('a ban ends by itself', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice } = await twoUsers(t, { env, clock: () => now })
  const desk = deskOf(app)
  for (const until of ['2020-01-01T00:00:00Z', '2020-01-01T00:00:00+23:59']) {
    const answer = await desk('POST', on(alice.id, 'ban'), { ...ban, until })
    t.match(answer.json(), { code: 'validation_failed', errors: [{ path: 'until' }] })
  }
  const until = new Date((now + 600) * 1000).toISOString().replace('Z', '+00:00')
  t.equal((await desk('POST', on(alice.id, 'ban'), { ...ban, until })).statusCode, 204)
  const bearer = foreignToken('zoe', now)
  t.equal((await desk('POST', on(foreignKey('zoe'), 'ban'), { ...ban, until })).statusCode, 204)
  now += 599
  t.equal((await withToken(app, bearer)).statusCode, 401)
  t.equal((await withToken(app, foreignToken('zoe', now))).statusCode, 401)
  now += 1
  t.equal((await withToken(app, foreignToken('zoe', now))).statusCode, 200)
  t.match((await desk('GET', `users/${alice.id}`)).json().ban, { reason: 'Spam', until: /Z$/ })
  await app.db
    .updateTable('users')
    .set({ banned_until: '2020-01-01T00:00:00Z' })
    .where('id', '=', alice.id)
    .execute()
  t.equal((await desk('GET', `users/${alice.id}`)).json().ban, null)
  const again = await logIn(app, alice)
  t.equal(again.statusCode, 200)
  t.equal((await withToken(app, again.json().token)).statusCode, 200)
})

t.test('a later ban replaces the one before, longer or shorter', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const desk = deskOf(app)
  await desk('POST', on(alice.id, 'ban'), ban)
  t.match((await desk('GET', `users/${alice.id}`)).json().ban, { reason: 'Spam', until: null })
  const until = new Date(Date.now() + 1_500).toISOString()
  await desk('POST', on(alice.id, 'ban'), { reason: 'Cooling off', until })
  t.match((await desk('GET', `users/${alice.id}`)).json().ban, { reason: 'Cooling off', until })
  const rows = await app.db.selectFrom('revocations').selectAll().where('ban', '=', true).execute()
  t.equal(rows.length, 1, 'one row for each user')
  t.equal(new Date(rows[0]?.issued_until ?? '').toISOString(), until)
})

t.test('a foreign user is banned with tokens that are yet to be minted', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const desk = deskOf(app)
  t.equal((await withToken(app, foreignToken('eve'))).statusCode, 200)
  t.equal((await desk('POST', on(foreignKey('eve'), 'ban'), ban)).statusCode, 204)
  const later = Math.floor(Date.now() / 1000) + 5
  for (const token of [foreignToken('eve'), foreignToken('eve', later)]) {
    t.equal((await withToken(app, token)).statusCode, 401)
    t.equal((await withToken(app, token, '/gateway/verify')).statusCode, 401)
    const asked = form('/oauth/introspect', { token }, { authorization: basic('neighbour') })
    t.same((await app.inject(asked)).json(), { active: false })
  }
  t.equal((await withToken(app, foreignToken('zoe'))).statusCode, 200, 'another user of the issuer')
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)

  // One who has never stored anything, and one of an issuer that nobody trusts.
  t.equal((await desk('POST', on(foreignKey('ann'), 'ban'), ban)).statusCode, 204)
  t.equal((await withToken(app, foreignToken('ann'))).statusCode, 401)
  for (const id of ['https://evil.example.com eve', foreignKey('user_01kb3v5rs1e2wbhx4hrsz3zj5e'), 'nobody'])
    t.match(problemOf(await desk('POST', on(id, 'ban'), ban)), { status: 404, code: 'user_not_found' })

  t.test('the ban outlives a deletion, and is lifted nevertheless', async (t) => {
    t.equal((await desk('POST', on(foreignKey('eve'), 'delete'))).statusCode, 204)
    t.equal((await desk('GET', `users/${encodeURIComponent(foreignKey('eve'))}`)).statusCode, 404)
    t.equal((await withToken(app, foreignToken('eve'))).statusCode, 401)
    t.equal((await desk('POST', on(foreignKey('eve'), 'unban'))).statusCode, 204)
    t.equal((await withToken(app, foreignToken('eve', later))).statusCode, 200)
    t.match(problemOf(await desk('POST', on('nobody', 'unban'))), { code: 'user_not_found' })
  })
})

t.test('a banned account with a second factor is told at the password, and at the code', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const { authenticator } = await enrol(alice)
  const { mfa_token } = (await logIn(app, alice)).json()
  await deskOf(app)('POST', on(alice.id, 'ban'), ban)
  for (const code of [authenticator.code(1), authenticator.wrongCode()])
    t.match(problemOf(await post(app, 'login/second-factor', { mfa_token, code })), disabled)
  t.match(problemOf(await logIn(app, alice)), disabled)
  t.match(problemOf(await logIn(app, alice, 'wrong password')), { code: 'invalid_credentials' })
})

t.test('a reset by mail sets a password and opens nothing', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const desk = deskOf(app)
  await tokenTo(app, alice.email)
  await desk('POST', on(alice.id, 'ban'), ban)
  await post(app, 'password/forgot', { email: alice.email })
  const token = await tokenTo(app, alice.email)
  const wanted = 'another password'
  t.equal((await post(app, 'password/reset', { token, new_password: wanted })).statusCode, 204)
  t.match(problemOf(await logIn(app, alice, wanted)), disabled)
  t.match(problemOf(await logIn(app, alice)), { code: 'invalid_credentials' })
})

t.test('a keyed signup of a banned account is refused as its login is', async (t) => {
  const app = await testApp(t, { env })
  const payload = { email: 'ann@example.com', password, name: 'Ann' }
  const headers = { 'idempotency-key': '6a2e91f0-6c0a-4b8e-9d51-3a8c0e0f7f51' }
  const signingUp = () => app.inject({ method: 'POST', url: '/api/auth/signup', payload, headers })
  const { user } = (await signingUp()).json()
  await deskOf(app)('POST', on(user.id, 'ban'), ban)
  t.match(problemOf(await signingUp()), disabled)
})

t.test('a ban reaches logins and refreshes in flight', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const inFlight = [
    ...Array.from({ length: 4 }, () => logIn(app, alice)),
    post(app, 'refresh', { refresh_token: alice.refreshToken }),
    alice.call('POST', '/api/auth/keys', { name: 'x', scopes: ['tasks:read'], expires_in_days: 1 }),
  ]
  const banned = await deskOf(app)('POST', on(alice.id, 'ban'), ban)
  t.equal(banned.statusCode, 204)
  for (const answer of await Promise.all(inFlight)) {
    const { token, key } = answer.json()
    if (token) t.equal((await withToken(app, token)).statusCode, 401)
    if (key) t.equal((await withToken(app, key, alice.tasks)).statusCode, 401)
  }
  for (const table of ['sessions', 'api_keys'] as const) {
    const rows = await app.db.selectFrom(table).select('id').where('user_id', '=', alice.id).execute()
    t.same(rows, [], table)
  }
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('a login that was verified before the ban opens no session after it', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const { passwords } = app
  const verify = passwords.verify.bind(passwords)
  const desk = deskOf(app)
  passwords.verify = async (...given) => {
    const matched = await verify(...given)
    await desk('POST', on(alice.id, 'ban'), ban)
    return matched
  }
  t.match(problemOf(await logIn(app, alice)), disabled)
})

t.test('another instance follows a ban, and that it was lifted', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const polled = { ...env, REVOCATION_POLL_SECONDS: '1' }
  const [one, other] = [
    await testApp(t, { db: keptOpen(db), env: polled }),
    await testApp(t, { db: keptOpen(db), env: polled }),
  ]
  const alice = await signUp(one, 'alice')
  const desk = deskOf(one)
  const until = async (status: number, token: string) => {
    while ((await withToken(other, token)).statusCode !== status) await new Promise(setImmediate)
  }
  await until(200, alice.token)
  await until(200, foreignToken('eve'))
  await desk('POST', on(alice.id, 'ban'), ban)
  await desk('POST', on(foreignKey('eve'), 'ban'), ban)
  await until(401, alice.token)
  await until(401, foreignToken('eve'))
  t.match(problemOf(await logIn(other, alice)), disabled)
  await desk('POST', on(foreignKey('eve'), 'unban'))
  const later = Math.floor(Date.now() / 1000) + 5
  await until(200, foreignToken('eve', later))
  t.pass('within a poll')
})
