import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import type { Db, Trx } from '../../../src/db/schema.ts'
import { pgbouncer } from '../../support/pgbouncer.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { post, runCommand, startCommand, startService } from '../../support/process.ts'
import { production, server } from '../../support/production.ts'
import { get, signUpAt } from '../../support/remote-user.ts'

/** A connection that does not go through the pooler. */
function directTo(t: Test, url: string): Db {
  const db = openPostgres({ url, poolSize: 3, onIdleError: () => {}, timeouts: false })
  t.teardown(() => db.destroy())
  return db
}

async function behind(
  t: Test,
  mode: 'session' | 'transaction',
  settings: Record<string, string | number> = {},
) {
  const { url } = await freshDatabase(t, server)
  const through = await pgbouncer(t, url, mode, settings)
  const env = await production(t, {
    DATABASE_URL: through,
    DATABASE_PREPARE: String(mode === 'session'),
    RATE_LIMITS: 'off',
    LOG_LEVEL: 'info',
  })
  return { direct: directTo(t, url), through, env, cwd: t.testdir(), url }
}

async function lockHolders(db: Db | Trx): Promise<unknown[]> {
  const { rows } = await sql`select pid from pg_locks where locktype = 'advisory' and
    database = (select oid from pg_database where datname = current_database())`.execute(db)
  return rows
}

for (const mode of ['transaction', 'session'] as const) {
  t.test(
    `behind a pooler in ${mode} mode, instances that start concurrently all serve, and no lock remains`,
    async (t) => {
      // In session mode, each connection of an instance has one of the pooler's.
      const { direct, env, cwd } = await behind(t, mode, { default_pool_size: mode === 'session' ? 60 : 4 })
      const services = await Promise.all([1, 2, 3].map(() => startService(t, env, cwd)))
      t.same(await lockHolders(direct), [])
      const [one, two] = services as [(typeof services)[0], (typeof services)[0]]
      const [alice, bob] = [await signUpAt(one.url), await signUpAt(two.url)]
      t.equal((await get(`${two.url}${alice.tasks}`, alice)).status, 200)
      t.equal((await get(`${two.url}${alice.tasks}`, bob)).status, 403)
      for (const service of services) t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
    },
  )

  t.test(`behind a pooler in ${mode} mode, of four concurrent migrations one applies it`, async (t) => {
    const { direct, env, cwd } = await behind(t, mode)
    const runs = await Promise.all([1, 2, 3, 4].map(() => runCommand(t, env, cwd, 'migrate')))
    t.same(
      runs.map(({ code }) => code),
      [0, 0, 0, 0],
    )
    t.equal(runs.filter(({ output }) => /^applied 0001/m.test(output)).length, 1)
    t.same(await lockHolders(direct), [])
  })
}

t.test('a session lock of an earlier version does not block a migration', async (t) => {
  const { direct, env, cwd } = await behind(t, 'transaction')
  await direct.connection().execute(async (earlier) => {
    await sql`select pg_advisory_lock(3853314791062309107)`.execute(earlier)
    t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: /^applied 0001/ })
    await sql`select pg_advisory_unlock_all()`.execute(earlier)
  })
})

t.test('behind a pooler in transaction mode, no setting outlives a transaction', async (t) => {
  const { direct, through, env, cwd } = await behind(t, 'transaction')
  const service = await startService(t, env, cwd)
  const [alice, bob] = [await signUpAt(service.url), await signUpAt(service.url)]
  await Promise.all(
    Array.from({ length: 20 }, (_, at) =>
      post(`${service.url}${(at % 2 ? alice : bob).tasks}`, { title: 'x' }, (at % 2 ? alice : bob).token),
    ),
  )
  // Over every connection of the pooler, as another application.
  const other = openPostgres({ url: through, poolSize: 4, onIdleError: () => {}, timeouts: false })
  t.teardown(() => other.destroy())
  const settings = await Promise.all(
    [1, 2, 3, 4].map(async () => {
      const { rows } = await sql<{ pid: number }>`select pg_backend_pid() as pid,
        current_setting('statement_timeout') as timeout, current_setting('default_transaction_isolation') as isolation,
        (select count(*)::int from pg_listening_channels()) as channels, (select count(*)::int from pg_prepared_statements)
        as prepared, pg_sleep(0.3)::text as slept`.execute(other)
      return rows[0]
    }),
  )
  t.equal(new Set(settings.map((row) => row?.pid)).size, 4)
  for (const row of settings) {
    t.match(row, { timeout: '0', isolation: 'read committed', channels: 0, prepared: 0 })
  }
  t.same(await lockHolders(direct), [])
  t.match(service.output(), /statement_timeout is 0/, 'the log warns')

  // Transactions are still bounded.
  await direct.transaction().execute(async (trx) => {
    await sql`select 1 from users for update`.execute(trx)
    const begun = performance.now()
    const answer = await post(`${service.url}/api/auth/logout`, { scope: 'all' }, alice.token)
    t.ok([204, 503].includes(answer.status))
    const login = await fetch(`${service.url}/api/auth/password`, {
      method: 'PUT',
      headers: { authorization: `Bearer ${bob.token}`, 'content-type': 'application/json' },
      body: JSON.stringify({
        current_password: 'correct horse battery',
        new_password: 'another horse battery',
      }),
    })
    t.equal(login.status, 503)
    t.ok(performance.now() - begun < 3_900)
  })
})

t.test('with LISTEN_DATABASE_URL, a logout reaches other instances before they poll', async (t) => {
  const { direct, env, cwd, url } = await behind(t, 'transaction')
  const listening = { ...env, LISTEN_DATABASE_URL: url, REVOCATION_POLL_SECONDS: '5' }
  const [one, two] = await Promise.all([startService(t, listening, cwd), startService(t, listening, cwd)])
  const { rows } = await sql<{ listeners: number }>`select count(*)::int as listeners from pg_stat_activity
    where application_name = 'latchkey listener' and datname = current_database()`.execute(direct)
  t.same(rows, [{ listeners: 2 }])
  // Each round would wait for the poll, 2.5 seconds on average.
  const begun = performance.now()
  for (let round = 0; round < 8; round++) {
    const [alice, bob] = [await signUpAt(one.url), await signUpAt(one.url)]
    t.equal((await get(`${two.url}${alice.tasks}`, alice)).status, 200)
    t.equal((await post(`${one.url}/api/auth/logout`, {}, alice.token)).status, 204)
    while ((await get(`${two.url}${alice.tasks}`, alice)).status !== 401);
    t.equal((await get(`${two.url}${bob.tasks}`, bob)).status, 200)
  }
  t.ok(performance.now() - begun < 15_000, 'notified, not polled')
})

t.test('a LISTEN_DATABASE_URL that hears nothing stops the start, one that is away does not', async (t) => {
  const { through, env, cwd } = await behind(t, 'transaction')
  const elsewhere = await freshDatabase(t, server)
  const start = (LISTEN_DATABASE_URL: string) =>
    runCommand(t, { ...env, LISTEN_DATABASE_URL, LOG_LEVEL: 'silent' }, cwd)
  const refused = {
    [through]:
      /^latchkey: LISTEN_DATABASE_URL: a pooler gives each transaction another connection, [^\n]*\n$/,
    [elsewhere.url]:
      /^latchkey: LISTEN_DATABASE_URL: hears nothing that is notified over DATABASE_URL[^\n]*\n$/m,
    [`${elsewhere.url}_not`]: /^latchkey: LISTEN_DATABASE_URL: database "[^\n]*\n$/,
  }
  await Promise.all(
    Object.entries(refused).map(async ([listening, output]) =>
      t.match(await start(listening), { code: 1, output }, listening),
    ),
  )
  const away = { ...env, LISTEN_DATABASE_URL: 'postgres://postgres@127.0.0.1:1/postgres' }
  const service = await startService(t, away, cwd)
  t.match(service.output(), /LISTEN_DATABASE_URL cannot be reached/, 'the log warns')
  const [alice, bob] = [await signUpAt(service.url), await signUpAt(service.url)]
  t.equal((await get(`${service.url}${alice.tasks}`, bob)).status, 403)
  t.equal((await get(`${service.url}${alice.tasks}`, alice)).status, 200)
})

t.test('DATABASE_PREPARE=true behind a pooler in transaction mode stops the start', async (t) => {
  const { direct, through, env, cwd } = await behind(t, 'transaction')
  const { code, output } = await runCommand(t, { ...env, DATABASE_PREPARE: 'true', LOG_LEVEL: 'silent' }, cwd)
  t.equal(code, 1)
  t.match(
    output,
    /^latchkey: DATABASE_URL: a pooler gives each transaction another connection: set DATABASE_PREPARE=false\n$/,
  )
  const other = directTo(t, through)
  const { rows } = await sql`select current_setting('statement_timeout') as timeout`.execute(other)
  t.same(rows, [{ timeout: '0' }], 'no setting was changed')
  t.same(await lockHolders(direct), [])
})

t.test('a migration that waits behind a pooler ends on SIGTERM, and leaves no lock', async (t) => {
  const { direct, env, cwd } = await behind(t, 'transaction')
  await direct.transaction().execute(async (trx) => {
    // Blocks the migration, which creates a table of the same name.
    await sql`create table users (id int)`.execute(trx)
    const service = startCommand(t, { ...env, PORT: '0' }, cwd)
    await service.untilOutput(/"msg":"migrating"/)
    const begun = performance.now()
    service.kill('SIGTERM')
    t.equal((await service.ended).code, 0)
    t.ok(performance.now() - begun < 5_000)
    t.same(await lockHolders(trx), [])
    await sql`drop table users`.execute(trx)
  })
  t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: /^applied 0001/ })
})

t.test('search_path in options, which the pooler refuses, is reported in one line', async (t) => {
  const { through, env, cwd } = await behind(t, 'transaction')
  const url = `${through}?options=-c%20search_path%3Dauth`
  const { code, output } = await runCommand(t, { ...env, DATABASE_URL: url, LOG_LEVEL: 'silent' }, cwd)
  t.equal(code, 1)
  t.match(output, /^latchkey: DATABASE_URL: the pooler refuses the parameter options.*\n$/)
})

t.test('times are parsed under any DateStyle, also behind a pooler', async (t) => {
  const { direct, env, cwd, url } = await behind(t, 'transaction')
  await sql`alter database ${sql.id(new URL(url).pathname.slice(1))} set datestyle = 'German'`.execute(direct)
  const service = await startService(t, env, cwd)
  const alice = await signUpAt(service.url)
  const answer = await get(`${service.url}/api/auth/me`, alice)
  t.match(await answer.json(), { created_at: /^\d{4}-\d\d-\d\dT[\d:.]+Z$/ })
})
