import { sql } from 'kysely'
import t from 'tap'
import { migrations } from '../../../../src/db/migrations/index.ts'
import { readRevocations } from '../../../../src/sessions/revocation-pages.ts'
import { migratedDatabase } from '../../../helper.ts'

t.test(
  'revocations of earlier releases are migrated: one row for each user, with the latest times',
  async (t) => {
    const db = await migratedDatabase(t)
    const names = Object.keys(migrations)
    const feed = names.indexOf('0008_revocation_feed')
    // In a schema of its own, which the end of the transaction removes.
    const rollback = new Error('the end of the test')
    const tried = db.transaction().execute(async (trx) => {
      await sql`create schema earlier`.execute(trx)
      await sql`set local search_path to earlier`.execute(trx)
      for (const name of names.slice(0, feed)) await migrations[name]?.up(trx)
      await sql`insert into revocations (session_id, user_id, created_at, ends_at) values
    ('s1', null, now() - interval '1 minute', now() + interval '1 minute'),
    ('s2', null, now() - interval '1 hour', now() - interval '1 minute'),
    (null, 'alice', now() - interval '2 days', now() + interval '11 years'),
    (null, 'alice', now() - interval '1 day', now() + interval '30 days'),
    (null, 'bob', now() - interval '3 days', 'infinity')`.execute(trx)

      for (const name of names.slice(feed)) await migrations[name]?.up(trx)
      const { revocations } = await readRevocations(trx, {})
      const now = Date.now() / 1000
      const inDays = (seconds: number) => Math.round((seconds - now) / 86_400)
      t.match(revocations, [{ session: 's1' }, { user: 'alice' }, { user: 'bob' }])
      t.same(
        revocations.flatMap((each) => ('user' in each ? [inDays(each.at)] : [])),
        [-1, -3],
      )
      t.ok(revocations.every((each) => 'session' in each || inDays(each.endsAt) > 10 * 365))

      // The statements of the previous release still work.
      await sql`insert into revocations (user_id, ends_at) values ('alice', now() + interval '31 days')`.execute(
        trx,
      )
      const rows =
        await sql`select 1 from revocations where user_id = 'alice' and ends_at > now() and created_at > now() - interval '62 seconds'`.execute(
          trx,
        )
      t.equal(rows.rows.length, 1)
      throw rollback
    })
    await t.rejects(tried, rollback)
  },
)
