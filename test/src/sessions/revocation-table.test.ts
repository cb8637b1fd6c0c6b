import { sql } from 'kysely'
import t from 'tap'
import { migratedDatabase, type TestUser, testApp, twoUsers } from '../../helper.ts'
import { mint } from '../../support/mint.ts'

const newPassword = (user: TestUser, current: string, wanted: string) =>
  user.call('PUT', '/api/auth/password', { current_password: current, new_password: wanted })

/** Everything that a user can repeat to write revocations. */
async function flood(user: TestUser): Promise<void> {
  for (let round = 0; round < 5; round++) {
    await user.call('POST', '/api/auth/logout', { scope: 'others' })
  }
  await newPassword(user, 'correct horse battery', 'another password')
  await newPassword(user, 'another password', 'yet another password')
  await user.call('POST', '/api/auth/logout', { scope: 'all' })
}

for (const algorithm of ['HS256', 'EdDSA']) {
  t.test(`${algorithm}: any number of logouts leaves one row per user`, async (t) => {
    const { app, alice, bob } = await twoUsers(t, { env: { ALGORITHM: algorithm } })
    await flood(alice)
    await Promise.all(
      Array.from({ length: 8 }, () => bob.call('POST', '/api/auth/logout', { scope: 'others' })),
    )
    const rows = await app.db
      .selectFrom('revocations')
      .select('user_id')
      .where('user_id', 'is not', null)
      .execute()
    const ofUsers = algorithm === 'HS256' ? [alice.id, bob.id] : []
    t.same(rows.map(({ user_id }) => user_id).sort(), ofUsers.sort())
    t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
    t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  })
}

t.test('of two rows of a user one remains, whichever commits last', async (t) => {
  const db = await migratedDatabase(t)
  for (const [id, until] of [
    [1_000, '2030-01-01'],
    [999, '2029-01-01'],
    [1_001, '2028-01-01'],
  ] as const)
    await sql`insert into revocations (id, user_id, issued_until, ends_at) overriding system value
      values (${id}, 'alice', ${until}, ${until})`.execute(db)
  const { rows } = await sql<{ year: number }>`select
    extract(year from issued_until at time zone 'UTC')::int as year from revocations`.execute(db)
  t.same(rows, [{ year: 2030 }])
})

t.test('logouts within one second write once, and revoke every token issued before the last', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice } = await twoUsers(t, { clock: () => now })
  const written = async () => {
    await alice.call('POST', '/api/auth/logout', { scope: 'others' })
    const { rows } = await sql<{ id: number }>`select id from revocations`.execute(app.db)
    return rows.map(({ id }) => id)
  }
  const first = await written()
  t.equal(first.length, 1)
  t.same(await written(), first)
  now += 1
  const next = await written()
  t.equal(next.length, 1)
  t.not(next[0], first[0])
  const token = mint(
    { typ: 'JWT' },
    { iss: undefined, sid: undefined, sub: alice.id, iat: now, exp: now + 60 },
  )
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await app.inject({ url: '/api/auth/me', headers })).statusCode, 401)
})

t.test('rows inserted by hand are merged into the newest, with the latest times', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const add = (user: string, ends: string, until: string | null = null) =>
    sql`insert into revocations (user_id, ends_at, issued_until)
      values (${user}, now() + ${ends}::interval, now() + ${until}::interval)`.execute(db)
  await add('alice', '11 years')
  await add('bob', '1 day')
  await add('alice', '1 day', '20 seconds')
  await add('alice', '2 days')
  await sql`insert into revocations (user_id, ends_at)
    select 'carol', now() + n * interval '1 day' from generate_series(500, 1, -1) n`.execute(db)
  const { rows } = await sql`select user_id, ends_at > now() + interval '300 days' as long,
    issued_until > created_at as ahead from revocations order by user_id`.execute(db)
  t.same(rows, [
    { user_id: 'alice', long: true, ahead: true },
    { user_id: 'bob', long: false, ahead: null },
    { user_id: 'carol', long: true, ahead: false },
  ])
})

t.test('a time that no instance can parse is refused on insert', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  for (const end of ['infinity', '-infinity', '12000-01-01']) {
    const insert = sql`insert into revocations (session_id, ends_at) values ('s', ${end}::timestamptz)`
    await t.rejects(insert.execute(db), /revocations_times/, end)
  }
})

t.test('a clock ahead of the database drops no revocation early', async (t) => {
  const ahead = 600
  // Stands still, so that the last token is of the second of the logout.
  const now = Math.floor(Date.now() / 1000) + ahead
  const clock = () => now
  const { app, alice, bob } = await twoUsers(t, { clock })
  const token = (sub: string) =>
    mint({ typ: 'JWT' }, { iss: undefined, sid: undefined, sub, iat: clock(), exp: clock() + 900 })
  const me = async (user: TestUser) =>
    (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token(user.id)}` } }))
      .statusCode
  t.equal(await me(alice), 200)
  await alice.call('POST', '/api/auth/logout', { scope: 'all' })
  t.equal(await me(alice), 401, 'issued in the same second, by a clock that the database is behind')
  t.equal(await me(bob), 200)
  const { rows } = await sql`select extract(epoch from min(ends_at) - now())::int > ${ahead + 900} as lasts
    from revocations`.execute(app.db)
  t.same(rows, [{ lasts: true }])
})

t.test('a token issued ahead of the clock does not survive its own logout', async (t) => {
  const app = await testApp(t)
  const now = Math.floor(Date.now() / 1000)
  const token = (sub: string, ahead: number) =>
    mint({ typ: 'JWT' }, { iss: undefined, sid: undefined, sub, iat: now + ahead, exp: now + 900 })
  const ask = async (token: string, method: 'GET' | 'POST', url: string) =>
    (await app.inject({ method, url, headers: { authorization: `Bearer ${token}` } })).statusCode
  for (const ahead of [0, 0.5, 5, 20.0004, 29]) {
    const [one, other] = [token(`alice-${ahead}`, ahead), token(`bob-${ahead}`, ahead)]
    t.equal(await ask(one, 'GET', '/api/auth/sessions'), 200, `${ahead}`)
    t.equal(await ask(one, 'POST', '/api/auth/logout'), 204)
    t.equal(await ask(one, 'GET', '/api/auth/sessions'), 401, `${ahead}`)
    t.equal(await ask(other, 'GET', '/api/auth/sessions'), 200)
  }
})
