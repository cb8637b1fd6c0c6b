import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { buildApp } from '../../../../src/app.ts'
import { rotateSession } from '../../../../src/sessions/repository.ts'
import {
  keptOpen,
  migratedDatabase,
  password,
  problemOf,
  secret,
  signUp,
  type TestUser,
  testApp,
  testConfig,
  twoUsers,
} from '../../../helper.ts'

const invalidGrant = { status: 401, code: 'invalid_grant', detail: 'The refresh token is not valid' }

const refresh = (app: FastifyInstance, refresh_token: unknown) =>
  app.inject({ method: 'POST', url: '/api/auth/refresh', payload: { refresh_token } })

const me = async (app: FastifyInstance, token: string) =>
  (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })).statusCode

/** Moves a session's times into the past, since the database's clock cannot be set. */
const passTime = (app: FastifyInstance, seconds: number) =>
  sql`update sessions set
    last_used_at = last_used_at - make_interval(secs => ${seconds}),
    idle_expires_at = idle_expires_at - make_interval(secs => ${seconds}),
    expires_at = expires_at - make_interval(secs => ${seconds})`.execute(app.db)

const sessionRows = async (app: FastifyInstance, user: TestUser) =>
  app.db.selectFrom('sessions').selectAll().where('user_id', '=', user.id).execute()

t.test('a refresh token is exchanged for the next one of the same session', async (t) => {
  const { app, alice } = await twoUsers(t)
  const seen = new Set([alice.refreshToken])
  let current = alice.refreshToken
  for (let round = 0; round < 30; round++) {
    const answer = await refresh(app, current)
    t.equal(answer.statusCode, 200)
    const session = answer.json()
    t.match(session, { user: { id: alice.id, email: alice.email }, token_type: 'Bearer' })
    t.equal(await me(app, session.token), 200)
    t.notOk(seen.has(session.refresh_token))
    seen.add(session.refresh_token)
    current = session.refresh_token
  }
  t.equal((await sessionRows(app, alice)).length, 1)
})

t.test('reuse of an old token ends the session for all its holders (B02, B05)', async (t) => {
  const lines: string[] = []
  const { app, alice, bob } = await twoUsers(t, {
    env: { LOG_LEVEL: 'info' },
    log: (line) => lines.push(line),
  })
  const first = (await refresh(app, alice.refreshToken)).json()
  const second = (await refresh(app, first.refresh_token)).json()

  t.match(
    problemOf(await refresh(app, alice.refreshToken)),
    invalidGrant,
    'two generations old, even within the grace',
  )
  t.match(problemOf(await refresh(app, second.refresh_token)), invalidGrant, 'the newest is revoked')
  for (const token of [alice.token, first.token, second.token])
    t.equal(await me(app, token), 401, 'access tokens too')
  t.equal(await me(app, bob.token), 200, 'another user is not affected')

  const events = await app.db
    .selectFrom('security_events')
    .selectAll()
    .where('user_id', '=', alice.id)
    .where('event', '!=', 'account_created')
    .execute()
  t.match(events, [{ event: 'refresh_token_reused', ip: '127.0.0.1' }])
  const logged = lines.map((line) => JSON.parse(line)).filter((line) => line.event === 'refresh_token_reused')
  t.match(logged, [{ user_id: alice.id, level: 40 }])
  for (const canary of [alice.refreshToken, second.refresh_token, second.token]) {
    t.notOk(
      lines.some((line) => line.includes(canary)),
      'no token in the log',
    )
  }
})

t.test('a retry within 10 seconds gets the same successor; later it is reuse (B04)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const first = (await refresh(app, alice.refreshToken)).json()
  await passTime(app, 9)
  const again = await refresh(app, alice.refreshToken)
  t.equal(again.statusCode, 200)
  t.equal(again.json().refresh_token, first.refresh_token)
  t.equal(await me(app, again.json().token), 200)

  await passTime(app, 2)
  t.match(problemOf(await refresh(app, alice.refreshToken)), invalidGrant)
  t.match(problemOf(await refresh(app, first.refresh_token)), invalidGrant, 'the session has ended')
})

t.test('50 concurrent refreshes get one successor (B03)', async (t) => {
  const { app, alice } = await twoUsers(t)
  let current = alice.refreshToken
  for (let round = 0; round < 4; round++) {
    const answers = await Promise.all(Array.from({ length: 50 }, () => refresh(app, current)))
    t.same([...new Set(answers.map((answer) => answer.statusCode))], [200])
    const successors = new Set(answers.map((answer) => answer.json().refresh_token))
    t.equal(successors.size, 1)
    current = [...successors][0]
  }
  t.match(await sessionRows(app, alice), [{ generation: 4 }])
})

t.test('a crash between commit and response does not lock the client out (B06)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const [session] = await sessionRows(app, alice)
  // Rotated, and no response sent.
  await rotateSession(app.db, session?.id ?? '', 0, app.sessionPolicy)
  const retry = await refresh(app, alice.refreshToken)
  t.equal(retry.statusCode, 200)
  t.equal((await refresh(app, retry.json().refresh_token)).statusCode, 200, 'the session continues')
})

t.test('a rolled back rotation leaves the token valid (B07)', async (t) => {
  const { app, alice } = await twoUsers(t)
  await sql`create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no' using errcode = '57P01'; end $$`.execute(
    app.db,
  )
  await sql`create trigger refuse before update on sessions for each row execute function refuse()`.execute(
    app.db,
  )
  const failed = await refresh(app, alice.refreshToken)
  t.match(problemOf(failed), { status: 503, code: 'service_unavailable' })
  t.equal(failed.headers['retry-after'], '1')
  await sql`drop function refuse cascade`.execute(app.db)
  t.equal((await refresh(app, alice.refreshToken)).statusCode, 200)
})

t.test('reuse detection and revocations survive a restart (B08)', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const start = async () => {
    // Closing an app must not close the database.
    const app = await buildApp(testConfig(), { db: keptOpen(db) })
    await app.ready()
    return app
  }
  const before = await start()
  const [alice, bob] = [await signUp(before, 'alice'), await signUp(before, 'bob')]
  const next = (await refresh(before, alice.refreshToken)).json()
  const last = (await refresh(before, next.refresh_token)).json()
  await bob.call('POST', '/api/auth/logout')
  await before.close()

  const after = await start()
  t.teardown(() => after.close())
  t.equal(await me(after, bob.token), 401, 'the revocation is loaded before the first request')
  t.equal(await me(after, last.token), 200)
  t.match(problemOf(await refresh(after, alice.refreshToken)), invalidGrant)
  t.equal(await me(after, last.token), 401, 'the reuse is detected')
})

t.test('a session ends 14 days after its last use and 30 days after its start (B09)', async (t) => {
  const day = 86_400
  const { app, alice, bob } = await twoUsers(t)
  await passTime(app, 14 * day + 1)
  t.match(problemOf(await refresh(app, alice.refreshToken)), invalidGrant, 'idle')

  await sql`update sessions set idle_expires_at = now() + interval '1 day', expires_at = now() + interval '2 days'`.execute(
    app.db,
  )
  const answer = await refresh(app, bob.refreshToken)
  t.equal(answer.statusCode, 200)
  const [session] = await sessionRows(app, bob)
  t.equal(session?.idle_expires_at, session?.expires_at, 'rotation does not move the absolute end')
  await passTime(app, 2 * day)
  t.match(problemOf(await refresh(app, answer.json().refresh_token)), invalidGrant, 'absolute')
})

t.test('no access token outlives its session (B09)', async (t) => {
  const { app, alice } = await twoUsers(t, { env: { ACCESS_TOKEN_EXPIRE_MINUTES: '15' } })
  await passTime(app, 30 * 86_400 - 300)
  await sql`update sessions set idle_expires_at = expires_at`.execute(app.db)
  const { token, expires_in } = (await refresh(app, alice.refreshToken)).json()
  const { iat, exp } = JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString())
  t.equal(exp - iat, expires_in)
  t.ok(expires_in > 200 && expires_in <= 300, `${expires_in} seconds`)
  t.equal(await me(app, token), 200)
})

t.test('a truncated or modified refresh token is refused', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const token = alice.refreshToken
  const bytes = Buffer.from(token, 'base64url')
  const changed = (at: number) => {
    const copy = Buffer.from(bytes)
    copy.writeUInt8(copy.readUInt8(at) ^ 1, at)
    return copy.toString('base64url')
  }
  const swapped = Buffer.concat([
    Buffer.from(bob.refreshToken, 'base64url').subarray(0, 20),
    bytes.subarray(20),
  ])
  const wrong = [
    token.slice(0, -1),
    `${token}A`,
    `${token}=`,
    token.toUpperCase(),
    encodeURIComponent(`${token}+`),
    ` ${token}`,
    changed(0),
    changed(19),
    changed(20),
    changed(51),
    swapped.toString('base64url'),
    alice.token.slice(0, 512),
    'x',
  ]
  for (const candidate of wrong)
    t.match(problemOf(await refresh(app, candidate)), invalidGrant, candidate.slice(0, 20))
  for (const candidate of [null, 1, '', ['x'], { a: 1 }, 'x'.repeat(513)]) {
    t.match(problemOf(await refresh(app, candidate)), { status: 400, code: 'validation_failed' })
  }
  t.equal((await refresh(app, token)).statusCode, 200, 'no guess ended the session')
  t.equal((await refresh(app, bob.refreshToken)).statusCode, 200)
})

t.test('access and refresh tokens are not interchangeable (A18)', async (t) => {
  const { app, alice } = await twoUsers(t)
  t.match(problemOf(await refresh(app, alice.token.slice(0, 512))), invalidGrant)
  t.equal(await me(app, alice.refreshToken), 401)
})

t.test('no column of the database is a usable token (B13)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const { token, refresh_token } = (await refresh(app, alice.refreshToken)).json()
  const dump: string[] = []
  for (const table of ['users', 'sessions', 'revocations', 'security_events'] as const) {
    const rows = await app.db.selectFrom(table).selectAll().execute()
    dump.push(
      JSON.stringify(rows, (_, value) =>
        value?.type === 'Buffer' ? Buffer.from(value.data).toString('base64url') : value,
      ),
    )
  }
  const mac = Buffer.from(refresh_token, 'base64url').subarray(20).toString('base64url')
  for (const canary of [token, refresh_token, mac, alice.refreshToken, password, secret]) {
    t.notOk(dump.some((table) => table.includes(canary)))
  }
})

t.test('a new SECRET_KEY with the old one as SECRET_KEY_PREVIOUS ends no session', async (t) => {
  const db = await migratedDatabase(t)
  const old = await testApp(t, { db })
  const alice = await signUp(old, 'alice')
  const env = { SECRET_KEY: 'the new one: Zk3vT9mWq8LrXp2YbN6s', SECRET_KEY_PREVIOUS: secret }
  const app = await buildApp(testConfig(env), { db: keptOpen(db) })
  t.teardown(() => app.close())

  t.equal(await me(app, alice.token), 200, 'the access token')
  const next = (await refresh(app, alice.refreshToken)).json()
  t.equal(await me(app, next.token), 200, 'the refresh token')
  t.equal((await refresh(app, alice.refreshToken)).json().refresh_token, next.refresh_token, 'a retry')
  t.equal((await refresh(app, next.refresh_token)).statusCode, 200)
  t.match(
    problemOf(await refresh(old, next.refresh_token)),
    invalidGrant,
    'the old secret alone does not verify new tokens',
  )
})
