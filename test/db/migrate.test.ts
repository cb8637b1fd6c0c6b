import { sql } from 'kysely'
import t from 'tap'
import { migrate, pendingMigrations } from '../../src/db/migrate.ts'
import { migrations } from '../../src/db/migrations/index.ts'
import { testDatabase } from '../helper.ts'

t.test('a schema newer than this code is left alone, so that an older instance can go on', async (t) => {
  const db = await testDatabase(t)
  t.teardown(() => db.destroy())
  await migrate(db)
  t.same(await pendingMigrations(db), [])
  await sql`insert into kysely_migration (name, timestamp) values ('9999_from_the_future', now()::text)`.execute(
    db,
  )
  t.same(await pendingMigrations(db), [])
  t.same(await migrate(db), [])
  await sql`delete from kysely_migration where name = '9999_from_the_future'`.execute(db)
})

t.test('J16: a migration that fails leaves the schema as it was', async (t) => {
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
