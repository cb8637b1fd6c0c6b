import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { migrate } from '../../../src/db/migrate.ts'
import { openPostgres } from '../../../src/db/postgres.ts'
import type { Db } from '../../../src/db/schema.ts'
import { freePort } from '../../support/free-port.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { runCommand, startCommand, startService } from '../../support/process.ts'
import { production, server } from '../../support/production.ts'
import { get, signUpAt } from '../../support/remote-user.ts'

function directTo(t: Test, url: string): Db {
  const db = openPostgres({ url, poolSize: 3, onIdleError: () => {}, timeouts: false })
  t.teardown(() => db.destroy())
  return db
}

async function onPort(t: Test, env: Record<string, string> = {}) {
  const variables = await production(t, {
    PORT: String(await freePort()),
    LOG_LEVEL: 'info',
    RATE_LIMITS: 'off',
    ...env,
  })
  return {
    env: variables,
    url: `http://127.0.0.1:${variables['PORT']}`,
    db: directTo(t, variables['DATABASE_URL'] ?? ''),
  }
}

/** The lock of src/db/migrate.ts. */
const lockOfMigrations = sql`select pg_advisory_xact_lock(hashtextextended('latchkey migrations ' || current_schema(), 0))`

for (const [what, hold, line] of [
  ['runs', sql`create table users (id int)`, 'migrating'],
  ['waits', lockOfMigrations, "waiting for another instance's migration"],
] as const) {
  t.test(
    `while a migration ${what}, the process is live and not ready, logs it, and serves after it`,
    async (t) => {
      const { env, url, db } = await onPort(t)
      const cwd = t.testdir()
      let service: ReturnType<typeof startCommand> | undefined
      await db
        .transaction()
        .execute(async (trx) => {
          await hold.execute(trx)
          service = startCommand(t, env, cwd)
          await service.untilOutput(new RegExp(`"msg":"${line}"`))
          t.equal((await fetch(`${url}/health/live`)).status, 200)
          t.equal((await fetch(`${url}/health/ready`)).status, 503)
          const login = await fetch(`${url}/api/auth/login`, { method: 'POST' })
          t.match([login.status, login.headers.get('retry-after')], [503, /^\d+$/])
          throw new Error('undone')
        })
        .catch((error) => t.equal(error.message, 'undone'))
      await service?.untilOutput(/"msg":"ready"/)
      t.equal((await fetch(`${url}/health/ready`)).status, 200)
      const [alice, bob] = [await signUpAt(url), await signUpAt(url)]
      t.equal((await get(`${url}${alice.tasks}`, alice)).status, 200)
      t.equal((await get(`${url}${alice.tasks}`, bob)).status, 403)
      service?.kill('SIGTERM')
      const { code, output } = (await service?.ended) ?? {}
      t.equal(code, 0)
      const [first, ...others] = (output ?? '').split('\n').filter((text) => text.startsWith('{'))
      t.match(JSON.parse(first ?? ''), { msg: 'starting', version: /^\d+\.\d+\.\d+/ })
      const messages = others.map((text) => JSON.parse(text).msg as string)
      t.match(messages.slice(-2), ['draining', 'stopped'])
    },
  )

  t.test(
    `SIGTERM while a migration ${what} ends the process soon, and cancels its statement in the database`,
    async (t) => {
      const { env, db } = await onPort(t)
      await db.transaction().execute(async (trx) => {
        await hold.execute(trx)
        const service = startCommand(t, env, t.testdir())
        await service.untilOutput(new RegExp(`"msg":"${line}"`))
        const begun = performance.now()
        service.kill('SIGTERM')
        const { code, output } = await service.ended
        t.equal(code, 0)
        t.ok(performance.now() - begun < 5_000)
        t.notMatch(output, /"level":[56]0/)
        const { rows } = await sql`select 1 from pg_stat_activity where datname = current_database() and
        wait_event_type = 'Lock'`.execute(db)
        t.same(rows, [])
      })
    },
  )
}

t.test('a migration that waits too long for another instance or a table fails and names it', async (t) => {
  const { db } = await onPort(t)
  const options = { lockTimeoutMs: 200 }
  for (const [hold, reason] of [
    [lockOfMigrations, /another instance's migration/],
    [sql`create table users (id int)`, /lock on a table/],
  ] as const) {
    await db.transaction().execute(async (trx) => {
      await hold.execute(trx)
      await t.rejects(migrate(db, options), { name: 'MigrationWaited', message: reason })
      await sql`drop table if exists users`.execute(trx)
    })
  }
  t.not((await migrate(db, options)).length, 0)
})

t.test('a migration ignores the statement_timeout of the database', async (t) => {
  const { url } = await freshDatabase(t, server)
  const db = directTo(t, url)
  const name = sql.id(new URL(url).pathname.slice(1))
  await sql`alter database ${name} set statement_timeout = '300ms'`.execute(db)
  const env = await production(t, { DATABASE_URL: url })
  let command: ReturnType<typeof startCommand> | undefined
  await db
    .transaction()
    .execute(async (trx) => {
      await sql`create table users (id int)`.execute(trx)
      command = startCommand(t, env, t.testdir(), 'migrate')
      const waiting = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and
        datname = current_database() and now() - query_start > interval '600 ms'`
      while ((await waiting.execute(db)).rows.length === 0) await delay(20)
      throw new Error('undone')
    })
    .catch((error) => t.equal(error.message, 'undone'))
  t.match(await command?.ended, { code: 0, output: /^applied 0001/ })
})

t.test('MIGRATE_DATABASE_URL migrates with another role, at the start and by the command', async (t) => {
  const { env, db } = await onPort(t)
  const role = `latchkey_test_${process.pid}`
  await sql`create role ${sql.id(role)} login`.execute(db)
  t.teardown(async () => {
    await sql`drop owned by ${sql.id(role)}`.execute(db)
    await sql`drop role ${sql.id(role)}`.execute(db)
  })
  await sql`alter default privileges in schema public grant select, insert, update, delete on tables to ${sql.id(role)}`.execute(
    db,
  )
  const url = new URL(env['DATABASE_URL'] ?? '')
  url.username = role
  const restricted = { ...env, DATABASE_URL: url.href }
  const cwd = t.testdir()
  t.match(await runCommand(t, { ...restricted, LOG_LEVEL: 'silent' }, cwd), {
    code: 1,
    output: /^latchkey: /,
  })
  const service = await startService(
    t,
    { ...restricted, MIGRATE_DATABASE_URL: env['DATABASE_URL'] ?? '' },
    cwd,
  )
  await signUpAt(service.url)
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })

  const elsewhere = (await freshDatabase(t, server)).url
  const wrong = {
    ...env,
    LOG_LEVEL: 'silent',
    DATABASE_URL: elsewhere,
    MIGRATE_DATABASE_URL: env['DATABASE_URL'] ?? '',
  }
  t.match(await runCommand(t, wrong, cwd), {
    code: 1,
    output: /^latchkey: the database schema is behind: MIGRATE_DATABASE_URL leads to another[^\n]*\n$/,
  })
  const unknown = { ...env, LOG_LEVEL: 'silent', MIGRATE_DATABASE_URL: `${elsewhere}_not` }
  for (const command of [[], ['migrate']]) {
    t.match(await runCommand(t, { ...unknown, DATABASE_URL: elsewhere }, cwd, ...command), {
      code: 1,
      output: /^latchkey: MIGRATE_DATABASE_URL: database "[^\n]*\n$/,
    })
  }
})
