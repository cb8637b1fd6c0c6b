import { sql } from 'kysely'
import t from 'tap'
import { cleanUp } from '../../../../src/clean-up/clean-up.ts'
import { migratedDatabase, signUp, twoUsers } from '../../../helper.ts'
import { setUp } from '../../../support/authenticator.ts'

t.test('expired rows are deleted, others kept', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { db } = app
  await bob.call('POST', '/api/auth/logout')
  await db
    .insertInto('revocations')
    .values({ session_id: 'session_old', ends_at: sql<string>`now() - interval '1 second'` })
    .execute()
  await sql`insert into security_events (event, at) values ('session_ended', now() - interval '91 days')`.execute(
    db,
  )
  await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
    values ('session_old', ${alice.id}, 'x', '', '', now() - interval '1 second', now())`.execute(db)

  await cleanUp(db)

  const ids = async (table: 'sessions' | 'revocations' | 'security_events') =>
    (await db.selectFrom(table).selectAll().execute()).length
  t.same(await Promise.all([ids('sessions'), ids('revocations'), ids('security_events')]), [1, 1, 3])
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 401)
})

t.test('devices are forgotten after 30 days, resets after 100', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  for (const [user, days] of [
    [alice, 29],
    [bob, 31],
  ] as const) {
    await user.call('POST', '/api/auth/logout')
    await sql`update ended_sessions set ended_at = now() - make_interval(days => ${days})
      where user_id = ${user.id}`.execute(app.db)
    await sql`insert into password_resets (user_id, ip, at)
      values (${user.id}, '', now() - make_interval(days => ${70 + days}))`.execute(app.db)
  }
  await cleanUp(app.db)
  for (const table of ['ended_sessions', 'password_resets'] as const) {
    t.same(await app.db.selectFrom(table).select('user_id').execute(), [{ user_id: alice.id }], table)
  }
})

t.test(
  'setups of a second factor are deleted after a day, used mfa tokens an hour after their end',
  async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    for (const [user, hours, confirmed] of [
      [alice, 25, true],
      [bob, 25, false],
    ] as const) {
      await sql`insert into totp_factors (user_id, secret, sealed_by, created_at, confirmed_at)
      values (${user.id}, '', '', now() - make_interval(hours => ${hours}), ${confirmed ? new Date().toISOString() : null})`.execute(
        app.db,
      )
      await sql`insert into used_mfa_tokens (token_hash, user_id, expires_at)
      values (${Buffer.from(user.id)}, ${user.id}, now() - make_interval(mins => ${confirmed ? 59 : 61}))`.execute(
        app.db,
      )
    }
    const carol = await signUp(app, 'carol')
    await setUp(carol)
    await cleanUp(app.db)
    const left = async (table: 'totp_factors' | 'used_mfa_tokens') =>
      (await app.db.selectFrom(table).select('user_id').orderBy('user_id').execute()).map(
        ({ user_id }) => user_id,
      )
    t.same(await left('totp_factors'), [alice.id, carol.id].sort())
    t.same(await left('used_mfa_tokens'), [alice.id])
  },
)

t.test('of a user with many security events, the newest of each kind are kept', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { db } = app
  const add = (event: string, { id }: { id: string }, count: number, age: string) =>
    sql`insert into security_events (event, user_id, at) select ${event}, ${id}, now() - ${age}::interval
      from generate_series(1, ${count}::int)`.execute(db)
  await add('password_changed', alice, 1, '10 days')
  await add('login', alice, 6_000, '1 day')
  await add('login', alice, 11, '1 minute')
  await add('login', bob, 250, '1 day')

  await cleanUp(db)

  const left = await db
    .selectFrom('security_events')
    .select(['user_id', 'event', (eb) => eb.fn.countAll<number>().as('count')])
    .where('event', 'in', ['login', 'password_changed'])
    .groupBy(['user_id', 'event'])
    .execute()
  t.same(
    new Set(left.map(({ user_id, event, count }) => `${user_id} ${event} ${count}`)),
    new Set([`${alice.id} login 200`, `${alice.id} password_changed 1`, `${bob.id} login 250`]),
  )
})

t.test('mail is deleted when no limit counts it, tokens when no mail needs them', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { db } = app
  await app.mailWorker?.stop(5_000)
  await db.deleteFrom('mail_outbox').execute()
  for (const [state, age] of [
    ['sent', '59 minutes'],
    ['sent', '61 minutes'],
    ['dropped', '61 minutes'],
    ['failed', '6 days'],
    ['failed', '8 days'],
    ['waiting', '23 hours'],
    ['waiting', '8 days'],
  ]) {
    await sql`insert into mail_outbox (kind, state, recipient, last_error, created_at)
      values ('forgot', ${state}, 'x@example.com', ${age}, now() - ${age}::interval)`.execute(db)
  }
  await sql`update one_time_tokens set expires_at = now() - interval '25 hours' where user_id = ${alice.id}`.execute(
    db,
  )
  await sql`update one_time_tokens set expires_at = now() - interval '23 hours' where user_id = ${bob.id}`.execute(
    db,
  )

  await cleanUp(db)

  const left = await db.selectFrom('mail_outbox').select(['state', 'last_error']).orderBy('id').execute()
  t.same(
    left.map(({ state, last_error }) => `${state} ${last_error}`),
    ['sent 59 minutes', 'failed 6 days', 'waiting 23 hours'],
  )
  t.same(await db.selectFrom('one_time_tokens').select('user_id').execute(), [{ user_id: bob.id }])
})

t.test('a table that fails is logged, and the others are cleaned', async (t) => {
  const { app, alice } = await twoUsers(t)
  const { db } = app
  await sql`update sessions set idle_expires_at = now() - interval '1 second' where user_id = ${alice.id}`.execute(
    db,
  )
  await sql`insert into security_events (event, at) values ('session_ended', now() - interval '91 days')`.execute(
    db,
  )
  await sql`create function refuse() returns trigger language plpgsql as $$ begin raise 'not now'; end $$`.execute(
    db,
  )
  await sql`create trigger refuse before delete on sessions execute function refuse()`.execute(db)
  t.teardown(() => sql`drop function refuse cascade`.execute(db))

  await t.rejects(cleanUp(db), { message: 'sessions: not now' })
  t.equal((await db.selectFrom('sessions').select('id').execute()).length, 2)
  const events = await db.selectFrom('security_events').select('at').execute()
  t.equal(events.length, 2, 'the old one is gone')
})

t.test('a backlog is deleted in batches', async (t) => {
  const parts: number[] = []
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      parts.push(Number(result.numAffectedRows))
      return result
    },
  })
  t.teardown(() => db.destroy())
  await sql`insert into revocations (session_id, ends_at)
    select n, now() - interval '1 second' from generate_series(1, 12000) n`.execute(db)
  parts.length = 0
  await cleanUp(db)
  t.same(
    parts.filter((rows) => rows > 0),
    [5_000, 5_000, 2_000],
  )
})
