import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { sql } from 'kysely'
import t from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import { ask, post, runCommand, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

t.test('two instances that start concurrently on an empty database both serve', async (t) => {
  const env = await production(t)
  const cwd = t.testdir()
  const [one, two] = await Promise.all([startService(t, env, cwd), startService(t, env, cwd)])

  const signup = await post(`${one.url}/api/auth/signup`, {
    email: 'test@example.com',
    password: 'correct horse battery',
    name: 'Test User',
  })
  t.equal(signup.status, 201)
  const { token, user } = (await signup.json()) as { token: string; user: { id: string } }
  const list = await ask(`${two.url}/api/${user.id}/tasks`, {
    headers: { authorization: `Bearer ${token}` },
  })
  t.equal(list.status, 200, 'the other instance accepts the token')
  for (const service of [one, two]) {
    t.equal((await ask(`${service.url}/health/ready`)).status, 200)
    t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
  }
})

t.test('MIGRATE_ON_START=false waits for the migrate command', async (t) => {
  const env = { ...(await production(t)), MIGRATE_ON_START: 'false' }
  const cwd = t.testdir()
  t.match(await runCommand(t, env, cwd), { code: 1, output: /^latchkey: the database schema is behind/ })
  t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: /^applied 0001_accounts_and_tasks/ })
  t.match(await runCommand(t, env, cwd, 'migrate'), { code: 0, output: 'the schema is up to date\n' })
  const service = await startService(t, env, cwd)
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })
})

t.test('docs/configuration.md: a role that may only read and write rows serves', async (t) => {
  const env = await production(t, { ALGORITHM: 'ES256' })
  const cwd = t.testdir()
  await runCommand(t, env, cwd, 'migrate')
  const role = `latchkey_test_${randomUUID().replaceAll('-', '')}`
  const admin = openPostgres({ url: env['DATABASE_URL'] ?? '', poolSize: 1, onIdleError: () => {} })
  t.teardown(async () => {
    await sql`drop owned by ${sql.id(role)}`.execute(admin)
    await sql`drop role ${sql.id(role)}`.execute(admin)
    await admin.destroy()
  })
  await sql`create role ${sql.id(role)} login`.execute(admin)
  const [, grants = ''] = /```sql\n(grant .*?)```/s.exec(readFileSync('docs/configuration.md', 'utf8')) ?? []
  await sql.raw(grants.replaceAll('latchkey_service', role)).execute(admin)

  const url = new URL(env['DATABASE_URL'] ?? '')
  url.username = role
  const restricted = { ...env, DATABASE_URL: url.href, MIGRATE_ON_START: 'false' }
  const service = await startService(t, restricted, cwd)
  const alice = { email: 'test@example.com', password: 'correct horse battery', name: 'Test User' }
  const signup = await post(`${service.url}/api/auth/signup`, alice)
  t.equal(signup.status, 201)
  const { token } = (await signup.json()) as { token: string }
  t.equal((await post(`${service.url}/api/auth/logout`, {}, token)).status, 204)
  t.same(await service.stop('SIGTERM'), { code: 0, signal: null })

  const theirs = openPostgres({ url: url.href, poolSize: 1, onIdleError: () => {} })
  t.teardown(() => theirs.destroy())
  await t.rejects(sql`drop table tasks`.execute(theirs), { code: '42501' })
  await t.rejects(sql`create table mine (id int)`.execute(theirs), { code: '42501' })
})

t.test('a column that a migration adds to a running service breaks no statement', async (t) => {
  const env = await production(t, { DATABASE_POOL_SIZE: '1', RATE_LIMITS: 'off' })
  const { url } = await startService(t, env, t.testdir())
  const credentials = { email: 'test@example.com', password: 'correct horse battery' }
  const { token, user } = await post(`${url}/api/auth/signup`, { ...credentials, name: 'Test' }).then(
    (answer) => answer.json() as Promise<{ token: string; user: { id: string } }>,
  )
  const tasks = `${url}/api/${user.id}/tasks`
  const steps = {
    list: () => fetch(tasks, { headers: { authorization: `Bearer ${token}` } }),
    create: () => post(tasks, { title: 'Buy milk' }, token),
    login: () => post(`${url}/api/auth/login`, credentials),
  }
  for (const step of Object.values(steps)) await step()

  const db = openPostgres({ url: env['DATABASE_URL'] ?? '', poolSize: 1, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  await sql`alter table tasks add column later text; alter table sessions add column later text`.execute(db)

  for (const [name, step] of Object.entries(steps)) {
    const { ok, status } = await step()
    t.ok(ok, `${name} answers ${status}`)
  }
})

t.test('a lock delays no read, and reads recover after every connection was killed (J02, J05)', async (t) => {
  const env = await production(t, { DATABASE_POOL_SIZE: '1', RATE_LIMITS: 'off' })
  const { url } = await startService(t, env, t.testdir())
  const { token, user } = await post(`${url}/api/auth/signup`, {
    email: 'test@example.com',
    password: 'correct horse battery',
    name: 'Test',
  }).then((answer) => answer.json() as Promise<{ token: string; user: { id: string } }>)
  const tasks = `${url}/api/${user.id}/tasks`
  const list = () => fetch(tasks, { headers: { authorization: `Bearer ${token}` } })
  await post(tasks, { title: 'Buy milk' }, token)

  const db = openPostgres({ url: env['DATABASE_URL'] ?? '', poolSize: 2, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from users for update`.execute(trx)
    let answered = false
    const held = post(tasks, { title: 'Buy bread' }, token).then((answer) => {
      answered = true
      return answer
    })
    await until(async () => {
      const { rows } = await sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and
        datname = current_database()`.execute(db)
      return rows.length > 0
    })
    const answers = await Promise.all(Array.from({ length: 20 }, list))
    t.same([...new Set(answers.map(({ status }) => status))], [200])
    t.notOk(answered, 'the write still waits')
    t.equal((await held).status, 503, 'and times out')
  })
  t.equal((await post(tasks, { title: 'Buy bread' }, token)).status, 201)

  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and
    pid <> pg_backend_pid()`.execute(db)
  await until(async () => (await list()).status === 200)
  await until(async () => (await post(tasks, { title: 'Buy eggs' }, token)).status === 201)
  const answers = await Promise.all(Array.from({ length: 20 }, list))
  t.same([...new Set(answers.map(({ status }) => status))], [200])
})

async function until(isSo: () => Promise<boolean>): Promise<void> {
  while (!(await isSo())) await new Promise((resolve) => setTimeout(resolve, 20))
}
