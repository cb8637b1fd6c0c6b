import { sql } from 'kysely'
import t from 'tap'
import { migratedDatabase } from '../helper.ts'
import { assertDistributable } from './distributable.ts'

t.test('shapes of statements that a distributed PostgreSQL refuses are found', async (t) => {
  for (const [text, reason] of [
    ['delete from sessions where ctid = any(array(select ctid from sessions limit 1))', /ctid/],
    ['insert into x (id) values ($1) on conflict (id) do update set at = now()', /immutable: use/],
    [
      'insert into x (id) values ($1) on conflict (id) do update set id = excluded.id where x.at < NOW()',
      /use/,
    ],
    [
      'insert into x (id) select $1 on conflict (id) do update set n = excluded.n where x.n < $2',
      /a parameter/,
    ],
    ['update x set state = case when at < now() then 1 else 2 end where id = $1', /CASE/],
    ['update x set at = coalesce($1, now()) where id = $2', /CASE/],
    ['insert into x (id) select id from y where $1 > (select count(*) from x)', /count/],
  ] as const) {
    t.throws(() => assertDistributable(text), { message: reason }, text)
  }
  for (const text of [
    'insert into x (id, at) values ($1, now()) on conflict (id) do update set at = excluded.at',
    'insert into x (id, n) values ($1, $2) on conflict (id) do update set n = $3',
    'insert into x (id) select $1 where not exists (select from y where id = $1) on conflict do nothing',
    'with recent as materialized (select count(*) as n from x) insert into x (id) select id from y, recent where n < 3',
    "update x set state = 'failed', at = now() where id = $1 and at < now()",
    'select coalesce(at, now()), case when at < now() then 1 end from x',
  ]) {
    t.doesNotThrow(() => assertDistributable(text), text)
  }
})

t.test('a test that executes one fails', async (t) => {
  const db = await migratedDatabase(t)
  await t.rejects(
    sql`delete from sessions where ctid = '(0,1)'`.execute(db),
    /not for a distributed database/,
  )
})
