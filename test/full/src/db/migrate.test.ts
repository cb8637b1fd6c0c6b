import { sql } from 'kysely'
import { Migrator } from 'kysely/migration'
import t, { type Test } from 'tap'
import { migrate, pendingMigrations } from '../../../../src/db/migrate.ts'
import { migrations } from '../../../../src/db/migrations/index.ts'
import type { Db } from '../../../../src/db/schema.ts'
import { testDatabase } from '../../../helper.ts'

t.test('a schema newer than this code is unchanged, so that an older instance keeps running', async (t) => {
  const db = await testDatabase(t)
  t.teardown(() => db.destroy())
  await migrate(db)
  t.same(await pendingMigrations(db), [])
  await sql`insert into latchkey_migrations (name, timestamp) values ('9999_from_the_future', now()::text)`.execute(
    db,
  )
  t.same(await pendingMigrations(db), [])
  t.same(await migrate(db), [])
  await sql`delete from latchkey_migrations where name = '9999_from_the_future'`.execute(db)
})

t.test('a migration that fails leaves the schema as it was', async (t) => {
  const db = await testDatabase(t)
  t.teardown(() => db.destroy())
  await migrate(db)
  const broken = {
    async up(db: Parameters<NonNullable<(typeof migrations)[string]>['up']>[0]) {
      await sql`create table half_done (id int)`.execute(db)
      await sql`select broken`.execute(db)
    },
  }
  migrations['9998_broken'] = broken
  t.teardown(() => {
    delete migrations['9998_broken']
  })
  await t.rejects(migrate(db), /broken/)
  t.same(await pendingMigrations(db), ['9998_broken'])
  const left = await sql`select 1 from pg_tables where tablename = 'half_done'`.execute(db)
  t.equal(left.rows.length, 0)
})

/** Runs `work` on a connection whose `search_path` is a temporary schema. */
async function inSchema(t: Test, name: string, work: (db: Db) => Promise<void>): Promise<void> {
  const db = await testDatabase(t)
  t.teardown(() => db.destroy())
  await db.connection().execute(async (connection) => {
    const path = sql.id(name)
    await sql`create schema ${path}`.execute(connection)
    await sql`set search_path to ${path}`.execute(connection)
    try {
      await work(connection)
    } finally {
      await sql`reset search_path`.execute(connection)
      await sql`drop schema ${path} cascade`.execute(connection)
    }
  })
}

const all = Object.keys(migrations)

async function tablesOf(db: Db, schema: string): Promise<string[]> {
  const { rows } = await sql<{
    tablename: string
  }>`select tablename from pg_tables where schemaname = ${schema}
    and tablename like '%migration%' order by 1`.execute(db)
  return rows.map(({ tablename }) => tablename)
}

t.test('only the schema of search_path is migrated, under any name', async (t) => {
  await inSchema(t, 'Another "one"', async (db) => {
    t.same(await pendingMigrations(db), all, 'the migrations of public do not count')
    t.same(await migrate(db), all)
    t.same(await pendingMigrations(db), [])
    t.same(await tablesOf(db, 'Another "one"'), ['latchkey_migrations', 'latchkey_migrations_lock'])
    t.same(await migrate(db), [])
  })
})

t.test('tables under Kysely’s default names are renamed once, and keep their rows', async (t) => {
  await inSchema(t, 'former', async (db) => {
    const own = new Migrator({
      db,
      provider: { getMigrations: async () => migrations },
      migrationTableSchema: 'former',
    })
    t.equal((await own.migrateToLatest()).error, undefined)
    t.same(await tablesOf(db, 'former'), ['kysely_migration', 'kysely_migration_lock'])
    t.same(await pendingMigrations(db), [], 'without a write')
    t.same(await migrate(db), [])
    t.same(await tablesOf(db, 'former'), ['latchkey_migrations', 'latchkey_migrations_lock'])
    t.same(await pendingMigrations(db), [])

    // Another application on Kysely may use the default names afterwards.
    const other = new Migrator({
      db,
      provider: { getMigrations: async () => ({ '0001_theirs': { up: async () => {} } }) },
      migrationTableSchema: 'former',
    })
    t.equal((await other.migrateToLatest()).error, undefined)
    t.same(await migrate(db), [])
    t.match(await other.getMigrations(), [{ name: '0001_theirs', executedAt: Date }])
  })
})

for (const [what, columns, rows] of [
  ['of other migrations', 'name varchar(255) primary key, timestamp varchar(255)', ["'0001_theirs', 'x'"]],
  [
    'of migrations with our names',
    'name text, timestamp text',
    ["'0001_accounts_and_tasks', ''", "'0002', ''"],
  ],
  ['that is empty', 'name text', []],
  ['of another form', 'version int', ['7']],
] as const) {
  t.test(`a table ${what} is unchanged, in the same schema or in another`, async (t) => {
    await inSchema(t, 'theirs', async (db) => {
      await sql.raw(`create table kysely_migration (${columns})`).execute(db)
      for (const row of rows) await sql.raw(`insert into kysely_migration values (${row})`).execute(db)
      t.same(await pendingMigrations(db), all)
      t.same(await migrate(db), all)
      const kept = await sql.raw('select * from kysely_migration').execute(db)
      t.equal(kept.rows.length, rows.length)
      await sql`create schema ours_beside_it`.execute(db)
      await sql`set search_path to ours_beside_it, theirs`.execute(db)
      try {
        t.same(await migrate(db), all)
      } finally {
        await sql`drop schema ours_beside_it cascade`.execute(db)
      }
    })
  })
}
