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
  t.same(await Promise.all([ids('sessions'), ids('revocations'), ids('security_events')]), [1, 1, 1])
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 401)
})
