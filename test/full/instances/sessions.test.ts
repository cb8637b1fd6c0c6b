import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { password, signUp, type TestUser, testConfig } from '../../helper.ts'
import { deskEnv, deskOf, foreignKey, foreignToken, on } from '../../support/desk.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'
import { networkTo } from '../../support/proxy.ts'

/** Two instances on one database. */
async function instances(t: Test, options: { env?: Record<string, string>; notify?: boolean } = {}) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({ DATABASE_URL: url, ...options.env })
  const start = async () => {
    const { db, listen, migrate } = await openDatabase(config, () => {})
    await migrate()
    const app = await buildApp(config, { db, listen: options.notify === false ? undefined : listen })
    await app.ready()
    t.teardown(() => app.close())
    return app
  }
  return { url, one: await start(), two: await start() }
}

const me = async (app: FastifyInstance, token: string) =>
  (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })).statusCode

const post = (app: FastifyInstance, url: string, payload: object, token?: string) =>
  app.inject({ method: 'POST', url, payload, headers: token ? { authorization: `Bearer ${token}` } : {} })

/** Retries until `status`. @returns milliseconds */
async function until(status: number, ask: () => Promise<number>, maxMs: number): Promise<number> {
  const start = performance.now()
  while ((await ask()) !== status) {
    if (performance.now() - start > maxMs) throw new Error(`no ${status} within ${maxMs} ms`)
    // An answer without I/O would starve the event loop.
    await setImmediate()
  }
  return performance.now() - start
}

t.test('20 concurrent logins on two instances all succeed, and upgrade the hash once (D10)', async (t) => {
  const { one, two } = await instances(t)
  const [alice, bob] = [await signUp(one, 'alice'), await signUp(one, 'bob')]
  const imported = '$2b$04$fw/2egepBGQrIGBbiKL3h.Gpx51kYPNZVfe2gwddJStq9VNQp40/2'
  await one.db.updateTable('users').set({ password_hash: imported }).where('id', '=', alice.id).execute()
  const answers = await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      post(at % 2 ? one : two, '/api/auth/login', { email: alice.email, password }),
    ),
  )
  t.same([...new Set(answers.map((answer) => answer.statusCode))], [200])
  const events = one.db.selectFrom('security_events').select('user_id')
  t.same(await events.where('event', '=', 'password_hash_upgraded').execute(), [{ user_id: alice.id }])
  t.equal((await post(two, '/api/auth/login', { email: bob.email, password })).statusCode, 200)
})

t.test('50 concurrent refreshes on two instances get one successor (B03)', async (t) => {
  const { one, two } = await instances(t)
  const alice = await signUp(one, 'alice')
  let current = alice.refreshToken
  for (let round = 0; round < 20; round++) {
    const answers = await Promise.all(
      Array.from({ length: 50 }, (_, at) =>
        post(at % 2 ? one : two, '/api/auth/refresh', { refresh_token: current }),
      ),
    )
    t.same([...new Set(answers.map((answer) => answer.statusCode))], [200])
    const successors = new Set(answers.map((answer) => answer.json().refresh_token))
    t.equal(successors.size, 1)
    current = [...successors][0]
  }
})

t.test('every end of a session revokes its tokens on other instances within a second (B10)', async (t) => {
  const { one, two } = await instances(t)
  const events: Record<string, (user: TestUser, logIn: () => Promise<string>) => Promise<string>> = {
    logout: async (user) => {
      await post(one, '/api/auth/logout', {}, user.token)
      return user.token
    },
    'logout of all': async (user, logIn) => {
      await post(one, '/api/auth/logout', { scope: 'all' }, await logIn())
      return user.token
    },
    'end one': async (user, logIn) => {
      const token = await logIn()
      const [session] = (
        await one.inject({ url: '/api/auth/sessions', headers: { authorization: `Bearer ${token}` } })
      ).json()
      await user.call('DELETE', `/api/auth/sessions/${session.id}`)
      return token
    },
    'password change': async (user, logIn) => {
      const token = await logIn()
      await user.call('PUT', '/api/auth/password', {
        current_password: password,
        new_password: 'another password',
      })
      return token
    },
    'account deletion': async (user) => {
      await post(one, '/api/auth/me/delete', { password }, user.token)
      return user.token
    },
    'refresh token theft': async (user) => {
      const { refresh_token } = (
        await post(one, '/api/auth/refresh', { refresh_token: user.refreshToken })
      ).json()
      await post(one, '/api/auth/refresh', { refresh_token })
      await post(one, '/api/auth/refresh', { refresh_token: user.refreshToken })
      return user.token
    },
    'the 21st session': async (user, logIn) => {
      for (let count = 0; count < 20; count++) await logIn()
      return user.token
    },
  }
  for (const [name, end] of Object.entries(events)) {
    const user = await signUp(one, 'alice')
    const logIn = async () =>
      (await post(one, '/api/auth/login', { email: user.email, password })).json().token
    const token = await end(user, logIn)
    t.equal(await me(one, token), 401, `${name}: at once on the same instance`)
    const latency = await until(401, () => me(two, token), 5000)
    t.ok(latency < 1000, `${name}: ${Math.round(latency)} ms on the other instance`)
  }
})

t.test('a ban is known to the other instance within a second, and so is its end', async (t) => {
  const { one, two } = await instances(t, { env: deskEnv })
  const [alice, bob] = [await signUp(one, 'alice'), await signUp(one, 'bob')]
  const desk = deskOf(one)
  const later = Math.floor(Date.now() / 1000) + 10
  const eve = foreignToken('eve', later)
  t.same([await me(two, alice.token), await me(two, eve)], [200, 200])
  for (const [id, token] of [
    [alice.id, alice.token],
    [foreignKey('eve'), eve],
  ] as const) {
    await desk('POST', on(id, 'ban'), { reason: 'Spam' })
    const banned = await until(401, () => me(two, token), 5_000)
    t.ok(banned < 1_000, `${Math.round(banned)} ms`)
  }
  const login = await post(two, '/api/auth/login', { email: alice.email, password })
  t.match(login.json(), { status: 403, code: 'account_disabled' })
  t.equal(await me(two, bob.token), 200)

  await desk('POST', on(foreignKey('eve'), 'unban'))
  const lifted = await until(200, () => me(two, foreignToken('eve', later + 10)), 5_000)
  t.ok(lifted < 1_000, `${Math.round(lifted)} ms`)
  t.equal(await me(two, alice.token), 401)
})

t.test('a ban and logins on two instances leave no session', async (t) => {
  const { one, two } = await instances(t, { env: deskEnv })
  const alice = await signUp(one, 'alice')
  const logIns = Array.from({ length: 8 }, (_, at) =>
    post(at % 2 ? one : two, '/api/auth/login', { email: alice.email, password }),
  )
  const refresh = post(two, '/api/auth/refresh', { refresh_token: alice.refreshToken })
  await Promise.race(logIns)
  await deskOf(one)('POST', on(alice.id, 'ban'), { reason: 'Spam' })
  for (const answer of await Promise.all([...logIns, refresh])) {
    if (answer.statusCode === 200) t.ok((await until(401, () => me(two, answer.json().token), 5_000)) < 1_000)
  }
  const { rows } = await sql`select id from sessions where user_id = ${alice.id}`.execute(one.db)
  t.same(rows, [])
})

t.test('behind a pooler without notifications, revocations arrive within the poll interval', async (t) => {
  const { one, two } = await instances(t, { notify: false, env: { REVOCATION_POLL_SECONDS: '1' } })
  const alice = await signUp(one, 'alice')
  t.equal(await me(two, alice.token), 200)
  await alice.call('POST', '/api/auth/logout')
  const latency = await until(401, () => me(two, alice.token), 5000)
  t.ok(latency < 2000, `${Math.round(latency)} ms`)
})

t.test('a malformed notification of another role breaks no instance', async (t) => {
  const { one, two } = await instances(t, { env: { REVOCATION_POLL_SECONDS: '5' } })
  const [alice, bob] = [await signUp(one, 'alice'), await signUp(one, 'bob')]
  t.equal(await me(two, alice.token), 200)
  for (const payload of ['x', '{}', '']) {
    await sql`select pg_notify('latchkey_revocations', ${payload})`.execute(one.db)
  }
  await alice.call('POST', '/api/auth/logout')
  const latency = await until(401, () => me(two, alice.token), 5000)
  t.ok(latency < 1000, `${Math.round(latency)} ms`)
  for (const app of [one, two]) t.equal(await me(app, bob.token), 200)
})

t.test('without a database, tokens get 503 once revocations are stale (J02, J09)', async (t) => {
  const { url, one, two } = await instances(t, { env: { REVOCATION_POLL_SECONDS: '1' } })
  const alice = await signUp(one, 'alice')
  const bob = await signUp(one, 'bob')
  const name = new URL(url).pathname.slice(1)
  const { db: admin } = await openDatabase(
    testConfig({ DATABASE_URL: server, DATABASE_POOL_SIZE: '1' }),
    () => {},
  )
  t.teardown(() => admin.destroy())
  const cutOff = async () => {
    await sql`alter database ${sql.id(name)} allow_connections false`.execute(admin)
    await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = ${name}`.execute(admin)
  }
  const bringBack = () => sql`alter database ${sql.id(name)} allow_connections true`.execute(admin)

  await cutOff()
  const refused = await one.inject({
    url: '/api/auth/sessions',
    headers: { authorization: `Bearer ${alice.token}` },
  })
  t.match(refused.json(), { status: 503, code: 'service_unavailable' })
  t.equal(refused.headers['retry-after'], '1')
  t.equal((await one.inject('/health/ready')).statusCode, 503)
  t.equal((await one.inject('/health/live')).statusCode, 200)
  t.equal(
    (await one.inject({ url: alice.tasks, headers: { authorization: `Bearer ${bob.token}` } })).statusCode,
    403,
    'tokens are verified until revocations are stale',
  )
  await until(503, async () => (await alice.call('GET', bob.tasks)).statusCode, 15_000)
  t.pass('no token is accepted with stale revocations')

  await bringBack()
  await until(200, () => me(one, alice.token), 15_000)
  await until(200, () => me(two, bob.token), 15_000)
  await bob.call('POST', '/api/auth/logout')
  const latency = await until(401, () => me(two, bob.token), 5000)
  t.ok(latency < 2000, 'revocations arrive again')
})

t.test('a network that drops packets: 503, and hanging connections are replaced (J07)', async (t) => {
  const network = await networkTo(t)
  const config = { DATABASE_URL: network.url, REVOCATION_POLL_SECONDS: '1' }
  const { db, listen, migrate } = await openDatabase(testConfig(config), () => {})
  await migrate()
  const app = await buildApp(testConfig(config), { db, listen })
  await app.ready()
  t.teardown(() => app.close())
  const alice = await signUp(app, 'alice')

  // Opens every connection for reads: connections made later are not frozen.
  for (let at = 0; at < 4; at++) await alice.call('GET', '/api/auth/sessions')

  network.freeze()
  const answer = await alice.call('GET', '/api/auth/sessions')
  t.match(answer.json(), { status: 503, code: 'service_unavailable' })
  // Only existing connections are frozen.
  const latency = await until(200, async () => (await alice.call('GET', '/api/auth/me')).statusCode, 30_000)
  t.ok(latency < 30_000, 'recovers')
  // Reads and writes have separate connections, each replaced when used.
  await until(200, async () => (await app.inject('/health/ready')).statusCode, 30_000)
})
