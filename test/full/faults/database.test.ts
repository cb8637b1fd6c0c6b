import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { cleanUp } from '../../../src/clean-up/clean-up.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { openPostgres } from '../../../src/db/postgres.ts'
import type { Db } from '../../../src/db/schema.ts'
import { password, signUp, type TestUser, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'
import { networkTo } from '../../support/proxy.ts'

/** An app on a database. */
async function instanceOn(t: Test, url: string, env: Record<string, string> = {}) {
  const config = testConfig({ DATABASE_URL: url, REVOCATION_POLL_SECONDS: '1', ...env })
  const database = await openDatabase(config, () => {})
  const app = await buildApp(config, { ...database, prepare: async () => void (await database.migrate()) })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** A connection that does not go through the proxy. */
function directTo(t: Test, url: string): Db {
  const db = openPostgres({ url, poolSize: 3, onIdleError: () => {}, timeouts: false })
  t.teardown(() => db.destroy())
  return db
}

interface Answer {
  readonly statusCode: number
  readonly headers: Record<string, unknown>
}

const isUnavailable = (t: Test, { statusCode, headers }: Answer, what: string) =>
  t.match([statusCode, headers['retry-after']], [503, /^\d+$/], what)

const addTask = (user: TestUser, title = 'Buy milk') => user.call('POST', user.tasks, { title })

/** Retries until the status is answered. @returns the statuses seen, and the seconds it took */
async function until(status: number, ask: () => Promise<{ statusCode: number }>, maxSeconds: number) {
  const begun = performance.now()
  const seen = new Set<number>()
  for (;;) {
    const { statusCode } = await ask()
    seen.add(statusCode)
    const seconds = (performance.now() - begun) / 1000
    if (statusCode === status) return { seen: [...seen].sort(), seconds }
    if (seconds > maxSeconds) throw new Error(`no ${status} within ${maxSeconds} s, but ${[...seen]}`)
    await delay(20)
  }
}

async function secondsOf<T>(work: Promise<T>): Promise<{ result: T; seconds: number }> {
  const begun = performance.now()
  const result = await work
  return { result, seconds: (performance.now() - begun) / 1000 }
}

/** Resolves when a statement of the service waits for a lock. */
async function untilOneWaits(db: Db): Promise<void> {
  const waiting = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  while ((await waiting.execute(db)).rows.length === 0) await delay(10)
}

t.test('without a database at the start, the service is live and not ready, and recovers', async (t) => {
  const network = await networkTo(t, { up: false })
  const app = await instanceOn(t, network.url)
  t.equal((await app.inject('/health/live')).statusCode, 200)
  isUnavailable(t, await app.inject('/health/ready'), 'ready')
  isUnavailable(t, await app.inject({ method: 'POST', url: '/api/auth/login', payload: {} }), 'login')
  // Long enough for the retries to back off.
  await delay(1_000)
  isUnavailable(t, await app.inject('/health/ready'), 'ready')
  await network.up()
  const { seconds } = await until(200, () => app.inject('/health/ready'), 5)
  t.ok(seconds <= 5, `ready after ${seconds.toFixed(1)} s`)
  t.equal((await addTask(await signUp(app, 'alice'))).statusCode, 201)
})

t.test(
  'a database that breaks during a request, is down, or hangs: 503, and the service recovers (J02, J07)',
  async (t) => {
    const network = await networkTo(t)
    const app = await instanceOn(t, network.url)
    const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
    const db = directTo(t, network.direct)

    await db.transaction().execute(async (trx) => {
      await sql`select 1 from users for update`.execute(trx)
      const change = alice.call('PUT', '/api/auth/password', {
        current_password: password,
        new_password: 'another horse battery',
      })
      await untilOneWaits(db)
      network.cut()
      isUnavailable(t, await change, 'an interrupted transaction')
    })
    t.equal((await until(201, () => addTask(alice), 5)).seen.includes(500), false)
    const login = { email: alice.email, password }
    const logIn = () => app.inject({ method: 'POST', url: '/api/auth/login', payload: login })
    t.equal((await until(200, logIn, 5)).seen.includes(401), false, 'the transaction was rolled back')

    await network.down()
    for (const ask of [() => addTask(alice), () => bob.call('GET', bob.tasks), logIn])
      isUnavailable(t, await ask(), 'connection refused')
    isUnavailable(t, await app.inject('/health/ready'), 'ready')
    await network.up()
    for (const ask of [
      () => addTask(alice),
      () => bob.call('GET', bob.tasks),
      () => app.inject('/health/ready'),
    ])
      t.notMatch((await until((await ask()).statusCode === 201 ? 201 : 200, ask, 5)).seen, [500])

    network.freezeAll()
    const writeAndRead = [() => addTask(alice), () => bob.call('GET', bob.tasks)]
    // First on open connections, then on new ones.
    for (const ask of [...writeAndRead, ...writeAndRead]) {
      const { result, seconds } = await secondsOf(ask())
      isUnavailable(t, result, 'no reply')
      t.ok(seconds <= 5, `${seconds.toFixed(1)} s`)
    }
    await network.up()
    await until(201, () => addTask(alice), 10)
    await until(200, () => bob.call('GET', bob.tasks), 10)
  },
)

t.test('a database that becomes read-only: 503 on writes, reads work, the service recovers', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  const name = sql.id(new URL(url).pathname.slice(1))
  await sql`alter database ${name} set default_transaction_read_only = on`.execute(db)
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and
    pid <> pg_backend_pid() and application_name = 'latchkey'`.execute(db)
  await until(200, () => bob.call('GET', bob.tasks), 5)
  await until(503, () => addTask(alice), 5)
  const login = { email: alice.email, password }
  const logIn = () => app.inject({ method: 'POST', url: '/api/auth/login', payload: login })
  isUnavailable(t, await addTask(alice), 'a write')
  isUnavailable(t, await logIn(), 'a transaction')
  t.equal((await bob.call('GET', alice.tasks)).statusCode, 403)

  // Open connections stay read-only; only new ones can write.
  await sql
    .raw(`alter database "${new URL(url).pathname.slice(1)}" reset default_transaction_read_only`)
    .execute(directWritable(t, url))
  t.notMatch((await until(201, () => addTask(alice), 5)).seen, [500])
  t.notMatch((await until(200, logIn, 5)).seen, [500])
})

/** Overrides the database's read-only setting. */
function directWritable(t: Test, url: string): Db {
  const writable = new URL(url)
  writable.searchParams.set('options', '-c default_transaction_read_only=off')
  return directTo(t, writable.href)
}

t.test('a server without free connections: 503, and the service recovers', async (t) => {
  const role = `latchkey_test_${process.pid}`
  const admin = directTo(t, server)
  await sql`create role ${sql.id(role)} login password 'x'`.execute(admin)
  t.teardown(() => sql`drop role ${sql.id(role)}`.execute(admin))
  const network = await networkTo(t)
  const database = sql.id(new URL(network.direct).pathname.slice(1))
  await sql`alter database ${database} owner to ${sql.id(role)}`.execute(admin)
  const url = new URL(network.url)
  url.username = role
  url.password = 'x'
  const app = await instanceOn(t, url.href)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  await sql`alter role ${sql.id(role)} connection limit 0`.execute(admin)
  network.cut()
  isUnavailable(t, await addTask(alice), 'a write')
  isUnavailable(t, await bob.call('GET', bob.tasks), 'a read')
  isUnavailable(t, await app.inject('/health/ready'), 'ready')
  await sql`alter role ${sql.id(role)} connection limit -1`.execute(admin)
  t.notMatch((await until(201, () => addTask(alice), 5)).seen, [500])
  await until(200, () => bob.call('GET', bob.tasks), 5)
})

t.test('a held lock and an exhausted pool: 503 in bounded time, and no lock remains (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url, { DATABASE_POOL_SIZE: '1' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from users for update`.execute(trx)
    const change = { current_password: password, new_password: 'another horse battery' }
    const held = secondsOf(alice.call('PUT', '/api/auth/password', change))
    await untilOneWaits(db)
    const excluded = await secondsOf(bob.call('PUT', '/api/auth/password', change))
    isUnavailable(t, excluded.result, 'without a connection')
    t.ok(excluded.seconds <= 1.5, `${excluded.seconds.toFixed(1)} s`)
    const refused = await secondsOf(bob.call('GET', alice.tasks))
    t.equal(refused.result.statusCode, 403)
    t.ok(refused.seconds < 0.5, 'a check of the token alone does not wait')
    const { result, seconds } = await held
    isUnavailable(t, result, 'waiting for the lock')
    t.ok(seconds <= 3, `${seconds.toFixed(1)} s`)
  })
  // The service's own polls may be running.
  const active = sql`select state from pg_stat_activity where datname = current_database() and
    application_name = 'latchkey' and state <> 'idle' and pid <> pg_backend_pid()`
  const latest = performance.now() + 1_000
  let { rows } = await active.execute(db)
  while (rows.length > 0 && performance.now() < latest) rows = (await active.execute(db)).rows
  t.same(rows, [], 'no statement is running')
  for (const user of [alice, bob]) t.equal((await addTask(user)).statusCode, 201)
})

t.test('an insert that waits for a lock does not delay other users (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url, { DATABASE_POOL_SIZE: '1' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from users where id = ${alice.id} for update`.execute(trx)
    const held = secondsOf(addTask(alice))
    await untilOneWaits(db)
    // Requests of the same moment may share its connection; later ones do not.
    await delay(60)
    const { result, seconds } = await secondsOf(addTask(bob))
    t.equal(result.statusCode, 201)
    t.ok(seconds < 0.5, `${seconds.toFixed(1)} s`)
    isUnavailable(t, (await held).result, 'waiting for the lock')
  })
  for (const user of [alice, bob]) t.equal((await addTask(user)).statusCode, 201)
})

t.test('a statement that cannot be prepared fails none that is pipelined behind it (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url, { DATABASE_POOL_SIZE: '1' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const list = () => bob.call('GET', bob.tasks)
  const atOnce = (ask: () => Promise<Answer>) => Promise.all(Array.from({ length: 12 }, ask))
  const statuses = (answers: Answer[]) => [...new Set(answers.map(({ statusCode }) => statusCode))].sort()
  const db = directTo(t, url)
  // Right after the start no connection has prepared these statements.
  await db.transaction().execute(async (trx) => {
    await sql`lock table tasks in access exclusive mode`.execute(trx)
    const { result, seconds } = await secondsOf(Promise.all([atOnce(list), atOnce(() => addTask(alice))]))
    for (const answers of result) t.same(statuses(answers), [503])
    for (const answer of result.flat()) isUnavailable(t, answer, 'waiting for the lock, or behind it')
    t.ok(seconds <= 5, `${seconds.toFixed(1)} s`)
  })
  t.same(statuses(await atOnce(list)), [200])
  t.same(statuses(await atOnce(() => addTask(alice))), [201])

  // The lock is released after the first timeout, in time for the statements behind.
  await sql`select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and
    pid <> pg_backend_pid() and application_name = 'latchkey' and query not ilike 'listen%'`.execute(db)
  await until(201, () => addTask(alice), 5)
  const answers = await db.transaction().execute(async (trx) => {
    await sql`lock table tasks in access exclusive mode`.execute(trx)
    const asked = atOnce(list)
    await delay(2_500)
    return { asked }
  })
  t.same(statuses(await answers.asked), [200, 503])
  t.same(statuses(await atOnce(list)), [200])
})

t.test('the clean-up skips locked rows (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  await sql`update sessions set idle_expires_at = now() - interval '1 second'`.execute(db)
  const left = () => db.selectFrom('sessions').select('user_id').execute()
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from sessions where user_id = ${alice.id} for update`.execute(trx)
    await cleanUp(app.db)
    t.same(await left(), [{ user_id: alice.id }])
  })
  await cleanUp(app.db)
  t.same(await left(), [])
  t.equal((await bob.call('GET', bob.tasks)).statusCode, 200)
})

t.test('a transaction that a deadlock rolls back is retried, once', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  const login = { email: alice.email, password }
  await app.inject({ method: 'POST', url: '/api/auth/login', payload: login })
  const new_password = 'another horse battery'
  // A deadlock; PostgreSQL cancels the transaction that has waited longer.
  const changing = await db.transaction().execute(async (trx) => {
    await sql`select 1 from sessions for update`.execute(trx)
    const answer = alice.call('PUT', '/api/auth/password', { current_password: password, new_password })
    await untilOneWaits(db)
    await sql`select 1 from users for update`.execute(trx)
    return { answer }
  })
  t.equal((await changing.answer).statusCode, 204)
  const events = db.selectFrom('security_events').select('user_id').where('event', '=', 'password_changed')
  t.same(await events.execute(), [{ user_id: alice.id }])
  const { rows } =
    await sql`select deadlocks::int from pg_stat_database where datname = current_database()`.execute(db)
  t.match(rows, [{ deadlocks: 1 }])
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('a lost reply to a commit: repeating the request is safe', async (t) => {
  const network = await networkTo(t)
  const app = await instanceOn(t, network.url)
  const bob = await signUp(app, 'bob')
  const send = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  const credentials = { email: 'alice@example.com', password }
  const account = { ...credentials, name: 'Alice' }

  // The mail worker commits too.
  await app.mailWorker?.settled()
  network.loseAnswerTo('commit')
  isUnavailable(t, await send('/api/auth/signup', account), 'signup')
  t.match((await send('/api/auth/signup', account)).json(), { code: 'email_already_registered' })
  const login = await send('/api/auth/login', credentials)
  t.equal(login.statusCode, 200, 'the account exists, with its password')

  const { refresh_token } = login.json()
  network.loseAnswerTo('update "sessions"')
  isUnavailable(t, await send('/api/auth/refresh', { refresh_token }), 'refresh')
  const refreshed = await send('/api/auth/refresh', { refresh_token })
  t.equal(refreshed.statusCode, 200, 'the session continues')
  const next = await send('/api/auth/refresh', { refresh_token: refreshed.json().refresh_token })
  t.equal(next.statusCode, 200)

  const authorization = `Bearer ${next.json().token}`
  const logOut = () => app.inject({ method: 'POST', url: '/api/auth/logout', headers: { authorization } })
  network.loseAnswerTo('revocations')
  isUnavailable(t, await logOut(), 'logout')
  await until(401, logOut, 5)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})
