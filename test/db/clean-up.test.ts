import { sql } from 'kysely'
import t from 'tap'
import { cleanUp } from '../../src/db/clean-up.ts'
import { twoUsers } from '../helper.ts'

t.test('what is over goes, what is not stays', async (t) => {
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

t.test('mail goes when it no longer counts, tokens when no mail will carry them', async (t) => {
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
