import { sql } from 'kysely'
import t from 'tap'
import { migrations } from '../../../../src/db/migrations/index.ts'
import { readRevocations } from '../../../../src/sessions/revocation-pages.ts'
import { migratedDatabase } from '../../../helper.ts'

t.test(
  'revocations of earlier releases are migrated: one row for each user, with the latest times',
  async (t) => {
    const db = await migratedDatabase(t)
    t.teardown(() => db.destroy())
    await sql`drop table revocations`.execute(db)
    for (const name of ['stamp_revocation', 'merge_revocations', 'announce_revocations']) {
      await sql`drop function ${sql.id(`latchkey_${name}`)}`.execute(db)
    }
    // The table of migration 0002.
    await sql`create table revocations (
    id bigint primary key generated always as identity, session_id text collate "C", user_id text collate "C",
    created_at timestamptz(3) not null default now(), ends_at timestamptz(3) not null,
    constraint revocations_one_subject check ((session_id is null) <> (user_id is null)))`.execute(db)
    await sql`create index revocations_by_created_at on revocations (created_at)`.execute(db)
    await sql`create index revocations_by_ends_at on revocations (ends_at)`.execute(db)
    await sql`insert into revocations (session_id, user_id, created_at, ends_at) values
    ('s1', null, now() - interval '1 minute', now() + interval '1 minute'),
    ('s2', null, now() - interval '1 hour', now() - interval '1 minute'),
    (null, 'alice', now() - interval '2 days', now() + interval '11 years'),
    (null, 'alice', now() - interval '1 day', now() + interval '30 days'),
    (null, 'bob', now() - interval '3 days', 'infinity')`.execute(db)

    await db.transaction().execute(async (trx) => migrations['0008_revocation_feed']?.up(trx))
    const { revocations } = await readRevocations(db, {})
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
      db,
    )
    const rows =
      await sql`select 1 from revocations where user_id = 'alice' and ends_at > now() and created_at > now() - interval '62 seconds'`.execute(
        db,
      )
    t.equal(rows.rows.length, 1)
  },
)
