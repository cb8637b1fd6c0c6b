import { Readable } from 'node:stream'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { newKeyText } from '../../../../src/api-keys/text.ts'
import {
  eventsOf,
  keptOpen,
  migratedDatabase,
  password,
  problemOf,
  registeredRoutes,
  signUp,
  type TestUser,
  testApp,
  twoUsers,
  unauthorized,
} from '../../../helper.ts'
import { mailTo, post, tokenTo } from '../../../support/mailbox.ts'
import { mint } from '../../../support/mint.ts'

const readOnly = { name: 'Nightly export', scopes: ['tasks:read'], expires_in_days: 90 }
const day = 86_400

interface NewKey {
  readonly id: string
  readonly key: string
  readonly expires_at: string
}

async function createKey(user: TestUser, wanted: object = {}): Promise<NewKey> {
  const answer = await user.call('POST', '/api/auth/keys', { ...readOnly, ...wanted })
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json()
}

function callWith(app: FastifyInstance, key: string) {
  return async (method: string, url: string, payload?: object) =>
    app.inject({
      method: method as 'GET',
      url,
      headers: { authorization: `Bearer ${key}` },
      ...(payload ? { payload } : {}),
    })
}

const statusOf = async (app: FastifyInstance, key: string, url: string) =>
  (await callWith(app, key)('GET', url)).statusCode

t.test('a key reads what its owner has, and is shown once', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await alice.call('POST', alice.tasks, { title: 'hers' })
  const answer = await alice.call('POST', '/api/auth/keys', readOnly)
  t.equal(answer.statusCode, 201)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { key, ...shown } = answer.json()
  t.match(key, /^lk_pat_[0-9A-Za-z]{36}$/)
  t.match(shown, { name: 'Nightly export', scopes: ['tasks:read'], last_used_at: null })
  t.match(shown.id, /^key_/)
  t.equal(Date.parse(shown.expires_at) - Date.parse(shown.created_at), 90 * day * 1000)

  const call = callWith(app, key)
  t.match((await call('GET', alice.tasks)).json(), [{ title: 'hers' }])
  t.equal((await call('HEAD', alice.tasks)).statusCode, 200)
  const second = await createKey(alice, { name: 'Second' })
  const list = (await alice.call('GET', '/api/auth/keys')).json()
  t.same(
    list.map(({ id }: { id: string }) => id),
    [second.id, shown.id],
    'newest first',
  )
  t.same(list[1], shown, 'as it was made, without the key')
  t.same((await bob.call('GET', '/api/auth/keys')).json(), [], "not another user's")

  await app.keyUses.flush()
  const [, used] = (await alice.call('GET', '/api/auth/keys')).json()
  t.ok(Math.abs(Date.parse(used.last_used_at) - Date.now()) < 60_000)

  const theirs = await bob.call('DELETE', `/api/auth/keys/${shown.id}`)
  t.match(problemOf(theirs), { status: 404, code: 'key_not_found' })
  t.equal(await statusOf(app, key, alice.tasks), 200)
  t.equal((await alice.call('DELETE', `/api/auth/keys/${shown.id}`)).statusCode, 204)
  t.same(problemOf(await call('GET', alice.tasks)), unauthorized)
  const again = await alice.call('DELETE', `/api/auth/keys/${shown.id}`)
  t.match(problemOf(again), { status: 404, code: 'key_not_found' })
  t.same(await eventsOf(app, alice), ['api_key_created', 'api_key_created', 'api_key_ended'])
  const rows = await app.db
    .selectFrom('security_events')
    .select(['event', 'key_id'])
    .where('key_id', 'is not', null)
    .orderBy('id')
    .execute()
  t.same(
    rows.map(({ key_id }) => key_id),
    [shown.id, second.id, shown.id],
  )
  t.notMatch(JSON.stringify(await app.db.selectFrom('api_keys').selectAll().execute()), key)
})

t.test('a key opens what has its scope, for its owner, and nothing else', async (t) => {
  const { app, alice, bob } = await twoUsers(t, {
    extend: (app) => {
      const read = { access: 'user', scope: 'tasks:read' } as const
      app.get('/recent', { config: { ...read, maxAge: 1e9 } }, async () => 'opened')
      app.get('/strong', { config: { ...read, acr: 'aal1' } }, async () => 'opened')
      app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({ sub: user?.sub }))
      app.get('/mine', { config: read }, async ({ user }) => user)
    },
  })
  const { id, key } = await createKey(alice)
  const call = callWith(app, key)
  const insufficient = (scope?: string) => ({
    status: 403,
    code: 'insufficient_scope',
    challenge: `Bearer error="insufficient_scope"${scope ? `, scope="${scope}"` : ''}`,
  })
  const refusal = async (method: string, url: string, payload?: object) => {
    const answer = await call(method, url, payload)
    const challenge = answer.headers['www-authenticate']
    return { status: answer.statusCode, code: answer.json().code, challenge }
  }

  t.same(await refusal('POST', alice.tasks, { title: 'x' }), insufficient('tasks:write'))
  t.same(await refusal('DELETE', `${alice.tasks}/1`), insufficient('tasks:write'))
  t.match(await refusal('GET', bob.tasks), { status: 403, code: 'not_owner' }, "a second user's path")

  const closed = registeredRoutes(app).filter(({ method, url }) => {
    return method !== 'HEAD' && url.startsWith('/api/auth/') && !/signup|login|refresh|forgot/.test(url)
  })
  const isPublic = (url: string) => /password\/reset|email\/(verify|resend)/.test(url)
  let tried = 0
  for (const { method, url } of closed) {
    if (isPublic(url)) continue
    tried++
    const path = url.replace(':session_id', 'x').replace(':key_id', id)
    t.same(await refusal(method, path, method === 'GET' ? undefined : readOnly), insufficient(), url)
  }
  t.ok(tried >= 11, 'account, sessions, password, keys')
  t.same((await alice.call('GET', '/api/auth/keys')).json().length, 1, 'a key has made no key')

  for (const url of ['/recent', '/strong'])
    t.match(await refusal('GET', url), { status: 401, code: 'insufficient_user_authentication' }, url)
  t.same((await call('GET', '/greeting')).json(), {}, 'no key where no scope is declared')
  t.match((await call('GET', '/mine')).json(), { sub: alice.id, keyId: id, scopes: ['tasks:read'] })

  const writing = callWith(app, (await createKey(alice, { scopes: ['tasks:write'] })).key)
  t.equal((await writing('POST', alice.tasks, { title: 'x' })).statusCode, 201)
  t.equal((await writing('GET', alice.tasks)).statusCode, 403)
})

t.test('a key in a query, twice, or of another form is refused', async (t) => {
  const { app, alice } = await twoUsers(t)
  const { key } = await createKey(alice)
  t.equal((await app.inject({ url: `${alice.tasks}?access_token=${key}` })).statusCode, 401)
  t.equal(await statusOf(app, key, `${alice.tasks}?access_token=${key}`), 400)
  for (const text of [
    key.toLowerCase(),
    key.slice(0, -1),
    `${key}0`,
    key.slice('lk_pat_'.length),
    'lk_pat_',
  ]) {
    t.same(problemOf(await callWith(app, text)('GET', alice.tasks)), unauthorized, text)
  }
  const basic = Buffer.from(`${alice.id}:${key}`).toString('base64')
  const answer = await app.inject({ url: alice.tasks, headers: { authorization: `Basic ${basic}` } })
  t.equal(answer.statusCode, 401)
})

t.test('known keys and typos cost no statement, unknown ones one', async (t) => {
  let statements = 0
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      statements++
      return result
    },
  })
  const app = await testApp(t, {
    db,
    extend: (app) => {
      app.get('/free', { config: { access: 'user', scope: 'tasks:read' } }, async () => 'opened')
    },
  })
  const { key } = await createKey(await signUp(app, 'alice'))
  const cost = async (text: string) => {
    await app.securityEvents.flush()
    await app.mailWorker?.settled()
    statements = 0
    const status = await statusOf(app, text, '/free')
    return { status, statements }
  }
  t.same(await cost(key), { status: 200, statements: 1 })
  for (let turn = 0; turn < 3; turn++) t.same(await cost(key), { status: 200, statements: 0 })
  t.same(await cost(`${key.slice(0, -1)}${key.endsWith('x') ? 'y' : 'x'}`), { status: 401, statements: 0 })
  const guess = newKeyText()
  t.same(await cost(guess), { status: 401, statements: 1 })
  t.same(await cost(guess), { status: 401, statements: 0 })
})

t.test('guesses are limited by address', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '5/1m' } })
  const statuses = []
  for (let guess = 0; guess < 6; guess++) statuses.push(await statusOf(app, newKeyText(), '/api/x/tasks'))
  t.same(statuses, [401, 401, 401, 401, 401, 429])
})

t.test('what a key may be is checked', async (t) => {
  const { alice } = await twoUsers(t, { env: { API_KEY_MAX_DAYS: '30' } })
  const pathOf = async (wanted: object) => {
    const answer = await alice.call('POST', '/api/auth/keys', { ...readOnly, expires_in_days: 30, ...wanted })
    return answer.statusCode === 201 ? 'made' : `${answer.json().code} ${answer.json().errors?.[0].path}`
  }
  t.equal(await pathOf({}), 'made')
  t.equal(await pathOf({ name: '\u{1f511}'.repeat(100) }), 'made')
  t.equal(await pathOf({ expires_in_days: 31 }), 'validation_failed expires_in_days')
  for (const days of [0, -1, 1.5, '1', null, undefined, 1e9])
    t.equal(await pathOf({ expires_in_days: days }), 'validation_failed expires_in_days')
  for (const name of ['', 'x'.repeat(101), 'a\0b', 1, undefined])
    t.equal(await pathOf({ name }), 'validation_failed name')
  for (const scopes of [[], ['tasks:read', 'tasks:read'], 'tasks:read', undefined])
    t.equal(await pathOf({ scopes }), 'validation_failed scopes')
  for (const scope of ['tasks:admin', 'introspect', 'admin:write', 'tasks', '__proto__', 'constructor'])
    t.equal(await pathOf({ scopes: ['tasks:read', scope] }), 'validation_failed scopes.1', scope)
  t.equal(await pathOf({ user_id: 'x' }), 'validation_failed user_id')
  t.notMatch((await alice.call('POST', '/api/auth/keys', { ...readOnly, scopes: ['secret'] })).body, 'secret')
})

t.test('a key needs a recent login, and a session that lives', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice, bob } = await twoUsers(t, {
    clock: () => now,
    env: { ACCESS_TOKEN_EXPIRE_MINUTES: '120' },
  })
  const { id } = await createKey(alice)
  now += 3_700
  const stale = await alice.call('POST', '/api/auth/keys', readOnly)
  t.match(problemOf(stale), { status: 401, code: 'insufficient_user_authentication' })
  t.match(stale.headers['www-authenticate'], /max_age=3600/)
  t.equal((await alice.call('GET', '/api/auth/keys')).json().length, 1)
  t.equal((await alice.call('DELETE', `/api/auth/keys/${id}`)).statusCode, 204)

  now -= 3_700
  // Ended by another instance, which this one has not heard of yet.
  await app.db.deleteFrom('sessions').where('user_id', '=', bob.id).execute()
  const ended = await bob.call('POST', '/api/auth/keys', readOnly)
  t.same(problemOf(ended), unauthorized)
  t.same((await bob.call('GET', '/api/auth/keys')).json(), [])

  const foreign = (claims: object) => {
    const made = { iss: undefined, sid: undefined, sub: alice.id, iat: now, exp: now + 60, ...claims }
    return callWith(app, mint({ typ: 'JWT' }, made))
  }
  const refused = await foreign({})('POST', '/api/auth/keys', readOnly)
  t.match(problemOf(refused), { status: 401, code: 'insufficient_user_authentication' })
  const sessionless = await foreign({ auth_time: now })('POST', '/api/auth/keys', readOnly)
  t.match(problemOf(sessionless), { status: 403, code: 'session_required' })
  t.same((await foreign({ sub: 'stranger' })('GET', '/api/auth/keys')).json(), [])
})

t.test('20 keys at most, and expired ones neither count nor show nor open', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice, bob } = await twoUsers(t, { clock: () => now })
  const made = await Promise.all(
    Array.from({ length: 30 }, () => alice.call('POST', '/api/auth/keys', readOnly)),
  )
  const keys = made.filter(({ statusCode }) => statusCode === 201).map((answer) => answer.json())
  t.equal(keys.length, 20)
  const refused = made.find(({ statusCode }) => statusCode !== 201)
  t.match(refused?.json(), { status: 409, code: 'key_limit_reached' })
  t.equal((await alice.call('GET', '/api/auth/keys')).json().length, 20)
  t.equal((await bob.call('POST', '/api/auth/keys', readOnly)).statusCode, 201)

  const [{ key, id }] = keys
  t.equal(await statusOf(app, key, alice.tasks), 200)
  await app.db
    .updateTable('api_keys')
    .set({ expires_at: new Date(Date.now() - 1000).toISOString() } as never)
    .where('id', '=', id)
    .execute()
  t.equal((await alice.call('GET', '/api/auth/keys')).json().length, 19)
  t.equal((await alice.call('DELETE', `/api/auth/keys/${id}`)).statusCode, 404)
  const next = await createKey(alice, { expires_in_days: 1 })
  now = Math.floor(Date.parse(next.expires_at) / 1000) - 1
  t.equal(await statusOf(app, next.key, alice.tasks), 200)
  now += 1
  t.equal(await statusOf(app, next.key, alice.tasks), 401, 'known, and expired to the second')
})

t.test('what ends the keys of an account, and what leaves them', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  const ofBob = await createKey(bob)
  let { key } = await createKey(alice)
  const lives = async () => (await statusOf(app, key, alice.tasks)) === 200
  t.ok(await lives())

  await alice.call('POST', '/api/auth/logout', { scope: 'all' })
  t.ok(await lives(), 'a logout')

  let secret = password
  const logIn = async () => {
    const { token } = (await post(app, 'login', { email: alice.email, password: secret })).json()
    return callWith(app, token)
  }
  const change = async (more: object) => {
    const body = { current_password: secret, new_password: `${secret}!`, ...more }
    const answer = await (await logIn())('PUT', '/api/auth/password', body)
    t.equal(answer.statusCode, 204)
    secret = body.new_password
  }
  await change({})
  await change({ end_keys: false })
  t.ok(await lives(), 'a change of password')
  await change({ end_keys: true })
  t.notOk(await lives(), 'unless it says so')

  const again = async () => {
    key = (await (await logIn())('POST', '/api/auth/keys', readOnly)).json().key
    t.ok(await lives())
  }
  await again()
  await post(app, 'password/forgot', { email: alice.email })
  secret = `${secret}!`
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: secret })
  t.notOk(await lives(), 'a reset')

  await again()
  t.equal((await (await logIn())('POST', '/api/auth/me/delete', { password: secret })).statusCode, 204)
  t.notOk(await lives(), 'deletion of the account')
  t.equal(await statusOf(app, ofBob.key, bob.tasks), 200, 'another user keeps theirs')
  t.same(
    (await mailTo(app, alice.email)).map(({ name }) => name).filter((name) => name === 'api_key_created')
      .length,
    3,
    'a mail about each',
  )
})

t.test('SQL that deletes a user ends the keys, though nothing was asked of the service', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { id, key } = await createKey(alice)
  t.equal(await statusOf(app, key, alice.tasks), 200)
  await createKey(bob)
  await app.db.deleteFrom('users').where('id', '=', alice.id).execute()
  const rows = await app.db.selectFrom('revocations').select(['key_id', 'session_id']).execute()
  t.same(rows, [{ key_id: id, session_id: null }])
})

t.test('a key that ends while a body arrives is refused (B10)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const { id, key } = await createKey(alice, { scopes: ['tasks:write'] })
  async function* body() {
    yield '{"title":'
    await alice.call('DELETE', `/api/auth/keys/${id}`)
    yield '"x"}'
  }
  const answer = await app.inject({
    method: 'POST',
    url: alice.tasks,
    payload: Readable.from(body()),
    headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
  })
  t.same(problemOf(answer), unauthorized)
  t.same((await alice.call('GET', alice.tasks)).json(), [])
})

t.test('new keys of one account have a budget', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { RATE_LIMIT_KEYS: '2/1d' } })
  const { id } = await createKey(alice)
  await alice.call('POST', '/api/auth/keys', { ...readOnly, scopes: ['none'] })
  await createKey(alice)
  await alice.call('DELETE', `/api/auth/keys/${id}`)
  const refused = await alice.call('POST', '/api/auth/keys', readOnly)
  t.match(problemOf(refused), { status: 429, code: 'rate_limited' })
  t.ok(Number(refused.headers['retry-after']) > 3600)
  await createKey(bob)
  t.ok((await eventsOf(app, alice)).includes('rate_limit_reached'))
})

t.test('a key is what its text verifies to, for who is handed one', async (t) => {
  const { app, alice } = await twoUsers(t)
  const { id, key } = await createKey(alice)
  const { user, claims, expiresAt } = await app.verifyBearer(key)
  t.match(user, { sub: alice.id, keyId: id, scopes: ['tasks:read'] })
  t.match(claims, { sub: alice.id, jti: id, exp: expiresAt, scope: 'tasks:read' })
  await t.rejects(app.verifyBearer(newKeyText()), { message: 'key_unknown' })
  await alice.call('DELETE', `/api/auth/keys/${id}`)
  await t.rejects(app.verifyBearer(key), { message: 'key_unknown' })
})

t.test('where a second factor is required of all, the keys of an account wait for it', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const open = await testApp(t, { db: keptOpen(db) })
  const alice = await signUp(open, 'alice')
  const { key } = await createKey(alice)
  const strict = await testApp(t, { db: keptOpen(db), env: { REQUIRE_SECOND_FACTOR: 'all' } })
  const refused = await callWith(strict, key)('GET', alice.tasks)
  t.match(problemOf(refused), { status: 403, code: 'second_factor_enrolment_required' })
  await db
    .insertInto('totp_factors')
    .values({ user_id: alice.id, secret: 'x', sealed_by: 'x', confirmed_at: sql<string>`now()` } as never)
    .execute()
  const later = await testApp(t, { db: keptOpen(db), env: { REQUIRE_SECOND_FACTOR: 'all' } })
  t.equal(await statusOf(later, key, alice.tasks), 200)
  t.equal(await statusOf(open, key, alice.tasks), 200)
})

t.test('a gateway lets a key pass where it asks for its scope', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { id, key } = await createKey(alice)
  const ask = async (query: string) => {
    const answer = await callWith(app, key)('GET', `/gateway/verify?${query}`)
    const code = answer.statusCode === 200 ? undefined : answer.json().code
    return { status: answer.statusCode, code, headers: answer.headers }
  }
  const passed = await ask(`scope=tasks:read&user_id=${alice.id}`)
  t.match(passed, {
    status: 200,
    headers: { 'x-latchkey-user': alice.id, 'x-latchkey-scope': 'tasks:read', 'x-latchkey-session': '-' },
  })
  for (const query of ['', 'access=optional', `user_id=${alice.id}`, 'scope=tasks:write'])
    t.match(await ask(query), { status: 403, code: 'insufficient_scope' }, query)
  t.match(await ask(`scope=tasks:read&user_id=${bob.id}`), { status: 403, code: 'not_owner' })
  for (const query of ['scope=tasks:read&max_age=86400', 'scope=tasks:read&acr=aal1'])
    t.match(await ask(query), { status: 401, code: 'insufficient_user_authentication' }, query)
  await alice.call('DELETE', `/api/auth/keys/${id}`)
  t.match(await ask('scope=tasks:read'), { status: 401, code: 'unauthorized' })
})

t.test('past the budget of a client, a gateway is refused unknown keys without a look-up', async (t) => {
  const env = { RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '5/1m' }
  const { app, alice } = await twoUsers(t, { env })
  const known = await createKey(alice)
  const unknown = await createKey(alice)
  const ask = (key: string) => statusOf(app, key, '/gateway/verify?scope=tasks:read')
  t.equal(await ask(known.key), 200)
  for (let guess = 0; guess < 6; guess++) t.equal(await ask(newKeyText()), 401)
  t.equal(await ask(unknown.key), 401, 'not looked up')
  t.equal(await ask(known.key), 200)
})
