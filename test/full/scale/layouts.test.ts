import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { migratePostgres, openPostgres } from '../../../src/db/postgres.ts'
import type { Db } from '../../../src/db/schema.ts'
import { password, signUp, testApp } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'

const script = (name: string) => readFileSync(`deploy/scale/${name}.sql`, 'utf8')

async function migrated(t: Test): Promise<Db> {
  const { url } = await freshDatabase(t, server)
  await migratePostgres(url)
  const db = openPostgres({ url, poolSize: 3, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  return db
}

/** What the catalogue says of a table, but for the partitions. */
async function shapeOf(db: Db, table: string) {
  const { rows } = await sql`
    select (select array_agg(conname || ' ' || pg_get_constraintdef(oid) order by conname) from pg_constraint
        where conrelid = c.oid) as constraints,
      (select array_agg(pg_get_indexdef(indexrelid) order by indexrelid::regclass::text) from pg_index
        where indrelid = c.oid) as indexes,
      (select array_agg(pg_get_triggerdef(oid) order by tgname) from pg_trigger
        where tgrelid = c.oid and not tgisinternal) as triggers,
      (select array_agg(a::text order by a::text) from unnest(c.relacl) a) as rights,
      pg_get_serial_sequence(${table}, 'id') as sequence, pg_get_userbyid(relowner) as owner
    from pg_class c where c.oid = ${table}::regclass`.execute(db)
  return JSON.parse(JSON.stringify(rows[0]).replaceAll(' ON ONLY ', ' ON '))
}

t.test('partitions keep rows, keys, indexes, triggers and rights, and can be undone', async (t) => {
  const db = await migrated(t)
  await sql`insert into users (id, email, name) select 'user_' || n, n || '@example.com', 'x' from generate_series(1, 20) n`.execute(
    db,
  )
  await sql`insert into tasks (user_id, title) select 'user_' || 1 + n % 20, 'x' from generate_series(1, 200) n`.execute(
    db,
  )
  await sql`grant select on tasks to public`.execute(db)
  const shape = await shapeOf(db, 'tasks')
  const rowsOf = async () => (await sql`select * from tasks order by id`.execute(db)).rows
  const rows = await rowsOf()
  const insert = sql<{ id: number }>`insert into tasks (user_id, title) values ('user_1', 'new') returning id`

  await sql.raw(script('partitions')).execute(db)
  t.same(await shapeOf(db, 'tasks'), shape)
  t.same(await rowsOf(), rows)
  const used = await sql`select distinct tableoid::regclass::text as name from tasks`.execute(db)
  t.ok(used.rows.length > 4, 'rows are in several partitions')
  t.same((await insert.execute(db)).rows, [{ id: 201 }])
  await sql`delete from users where id = 'user_1'`.execute(db)
  t.equal((await rowsOf()).length, 190, 'the tasks of a deleted user are deleted')
  await t.rejects(sql.raw(script('partitions')).execute(db), /is partitioned already/)

  const undo = sql.raw(`set latchkey.partitions = '0'; ${script('partitions')}`)
  await db.connection().execute((connection) => undo.execute(connection))
  t.same(await shapeOf(db, 'tasks'), shape)
  t.equal((await rowsOf()).length, 190)
  const { rows: left } =
    await sql`select from pg_class where relname like 'tasks\_%' and relkind in ('r', 'p')`.execute(db)
  t.same(left, [])
})

t.test('tests of tasks pass on partitions', async (t) => {
  const files = ['routes/api/tasks', 'routes/api/tasks-conditions', 'routes/api/tasks-ids']
  await Promise.all(
    files.map(async (file) => {
      const path = join(import.meta.dirname, `../../${file}.test.js`)
      const env = { ...process.env, TEST_LAYOUT: 'partitions', TAP_TIMEOUT: '240' }
      const failure = await new Promise<string>((resolve) =>
        execFile(process.execPath, ['--liftoff-only', path], { env }, (error, output) =>
          resolve(error ? `${error.message}\n${output}` : ''),
        ),
      )
      t.equal(failure, '', file)
    }),
  )
})

/** Without what only Citus has. */
const plainCitus = script('citus').replace(/^select (create_|truncate_local)[^;]*;$/gm, '')

t.test('the foreign keys and triggers of deploy/scale/citus.sql keep whose tasks there are', async (t) => {
  t.notMatch(plainCitus, /create_distributed_table|create_reference_table/)
  const db = await migrated(t)
  await sql`insert into users (id, email, name) values ('user_old', 'old@example.com', 'x')`.execute(db)
  await sql`insert into tasks (user_id, title) values ('user_old', 'x')`.execute(db)
  await db.connection().execute((connection) => sql.raw(plainCitus).execute(connection))
  const owners = async () =>
    (await sql<{ id: string }>`select id from latchkey_owners`.execute(db)).rows.map(({ id }) => id).sort()
  t.same(await owners(), ['user_old'])

  const app = await testApp(t, { db })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  t.same(await owners(), [alice.id, bob.id, 'user_old'].sort())
  const key = { headers: { 'idempotency-key': 'c0ffee00-0000-4000-8000-000000000000' } }
  for (const user of [alice, bob]) {
    t.equal((await user.call('POST', user.tasks, { title: 'x' }, key)).statusCode, 201)
  }
  t.equal((await bob.call('GET', alice.tasks)).statusCode, 403)
  t.equal((await alice.call('POST', '/api/auth/me/delete', { password })).statusCode, 204)
  t.same(await owners(), [bob.id, 'user_old'].sort())
  const { rows } =
    await sql`select user_id from tasks union all select user_id from idempotency_keys`.execute(db)
  t.same(rows.map((row) => (row as { user_id: string }).user_id).sort(), [bob.id, bob.id, 'user_old'].sort())
  t.equal((await alice.call('POST', alice.tasks, { title: 'late' })).statusCode, 401)
  await t.rejects(
    sql`insert into tasks (user_id, title) values (${alice.id}, 'late')`.execute(db),
    /tasks_user_id_fkey/,
  )
  t.equal((await bob.call('GET', bob.tasks)).json().length, 1)
})

t.test('the check of a distributed database refuses a plain one', async (t) => {
  const { url } = await freshDatabase(t, server)
  const program = join(import.meta.dirname, '../../../scripts/check-distributed.js')
  const [code, output] = await new Promise<[unknown, string]>((resolve) =>
    execFile(process.execPath, [program, url], (error, _out, errors) => resolve([error?.code, errors])),
  )
  t.same(
    [code, output],
    [2, 'check:distributed: a plain PostgreSQL: there is no extension citus, and nothing to check\n'],
  )
})
