import { setTimeout as delay } from 'node:timers/promises'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { buildApp } from '../../src/app.ts'
import { cleanUp } from '../../src/clean-up/clean-up.ts'
import { openDatabase } from '../../src/db/open.ts'
import { openPostgres } from '../../src/db/postgres.ts'
import type { Db } from '../../src/db/schema.ts'
import { password, signUp, type TestUser, testConfig } from '../helper.ts'
import { freshDatabase } from '../support/postgres.ts'
import { server } from '../support/production.ts'
import { networkTo } from '../support/proxy.ts'

/** An instance as the process makes it, on the database that `url` names. */
async function instanceOn(t: Test, url: string, env: Record<string, string> = {}) {
  const config = testConfig({ DATABASE_URL: url, REVOCATION_POLL_SECONDS: '1', ...env })
  const database = await openDatabase(config, () => {})
  const app = await buildApp(config, { ...database, prepare: async () => void (await database.migrate()) })
  t.teardown(() => app.close())
  await app.ready()
  return app
}

/** The test's own way to a database. */
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

/** Asks until the answer has that status. @returns the answers until then, and the seconds that it took */
async function until(status: number, ask: () => Promise<{ statusCode: number }>, most: number) {
  const begun = performance.now()
  const seen = new Set<number>()
  for (;;) {
    const { statusCode } = await ask()
    seen.add(statusCode)
    const seconds = (performance.now() - begun) / 1000
    if (statusCode === status) return { seen: [...seen].sort(), seconds }
    if (seconds > most) throw new Error(`no ${status} within ${most} s, but ${[...seen]}`)
    await delay(20)
  }
}

async function secondsOf<T>(work: Promise<T>): Promise<{ result: T; seconds: number }> {
  const begun = performance.now()
  const result = await work
  return { result, seconds: (performance.now() - begun) / 1000 }
}

/** Waits until a statement of the service waits for a lock. */
async function untilOneWaits(db: Db): Promise<void> {
  const waiting = sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()`
  while ((await waiting.execute(db)).rows.length === 0) await delay(10)
}

t.test('no database at the start: alive, not ready, and ready soon after it is there', async (t) => {
  const network = await networkTo(t, { up: false })
  const app = await instanceOn(t, network.url)
  t.equal((await app.inject('/health/live')).statusCode, 200)
  isUnavailable(t, await app.inject('/health/ready'), 'ready')
  isUnavailable(t, await app.inject({ method: 'POST', url: '/api/auth/login', payload: {} }), 'login')
  // Long enough for the pauses between two tries to have grown.
  await delay(1_000)
  isUnavailable(t, await app.inject('/health/ready'), 'ready')
  await network.up()
  const { seconds } = await until(200, () => app.inject('/health/ready'), 5)
  t.ok(seconds <= 5, `ready after ${seconds.toFixed(1)} s`)
  t.equal((await addTask(await signUp(app, 'alice'))).statusCode, 201)
})

t.test(
  'the database goes away in mid-request, stays away, hangs: 503, and it heals (J02, J07)',
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
      isUnavailable(t, await change, 'a transaction that is cut')
    })
    t.equal((await until(201, () => addTask(alice), 5)).seen.includes(500), false)
    const login = { email: alice.email, password }
    const logIn = () => app.inject({ method: 'POST', url: '/api/auth/login', payload: login })
    t.equal((await until(200, logIn, 5)).seen.includes(401), false, 'nothing of it was done')

    await network.down()
    for (const ask of [() => addTask(alice), () => bob.call('GET', bob.tasks), logIn])
      isUnavailable(t, await ask(), 'nothing listens')
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
    // First on the connections that there are, then on new ones.
    for (const ask of [...writeAndRead, ...writeAndRead]) {
      const { result, seconds } = await secondsOf(ask())
      isUnavailable(t, result, 'nothing answers')
      t.ok(seconds <= 5, `${seconds.toFixed(1)} s`)
    }
    await network.up()
    await until(201, () => addTask(alice), 10)
    await until(200, () => bob.call('GET', bob.tasks), 10)
  },
)

t.test('a database that has become read-only: 503 on writes, reads go on, it heals', async (t) => {
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

  // The connections stay: they are still to where no writes are possible, and only new ones are not.
  await sql
    .raw(`alter database "${new URL(url).pathname.slice(1)}" reset default_transaction_read_only`)
    .execute(directWritable(t, url))
  t.notMatch((await until(201, () => addTask(alice), 5)).seen, [500])
  t.notMatch((await until(200, logIn, 5)).seen, [500])
})

/** As where the database's own settings say read-only. */
function directWritable(t: Test, url: string): Db {
  const writable = new URL(url)
  writable.searchParams.set('options', '-c default_transaction_read_only=off')
  return directTo(t, writable.href)
}

t.test('a server that takes no more connections: 503, and it heals', async (t) => {
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

t.test('a lock and an exhausted pool: 503 in time, and no lock is left behind (J05)', async (t) => {
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
    isUnavailable(t, excluded.result, 'who gets no connection')
    t.ok(excluded.seconds <= 1.5, `${excluded.seconds.toFixed(1)} s`)
    const refused = await secondsOf(bob.call('GET', alice.tasks))
    t.equal(refused.result.statusCode, 403)
    t.ok(refused.seconds < 0.5, 'what needs only the token waits for nobody')
    const { result, seconds } = await held
    isUnavailable(t, result, 'who waits for the lock')
    t.ok(seconds <= 3, `${seconds.toFixed(1)} s`)
  })
  // A moment later, since the service also asks on its own account.
  const underWay = sql`select state from pg_stat_activity where datname = current_database() and
    application_name = 'latchkey' and state <> 'idle' and pid <> pg_backend_pid()`
  const latest = performance.now() + 1_000
  let { rows } = await underWay.execute(db)
  while (rows.length > 0 && performance.now() < latest) rows = (await underWay.execute(db)).rows
  t.same(rows, [], 'nothing is under way any more')
  for (const user of [alice, bob]) t.equal((await addTask(user)).statusCode, 201)
})

t.test('an insert that waits for a lock holds up nobody else (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url, { DATABASE_POOL_SIZE: '1' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from users where id = ${alice.id} for update`.execute(trx)
    const held = secondsOf(addTask(alice))
    await untilOneWaits(db)
    // What comes in the same instant may share its connection; from then on it is passed by.
    await delay(60)
    const { result, seconds } = await secondsOf(addTask(bob))
    t.equal(result.statusCode, 201)
    t.ok(seconds < 0.5, `${seconds.toFixed(1)} s`)
    isUnavailable(t, (await held).result, 'who waits for the lock')
  })
  for (const user of [alice, bob]) t.equal((await addTask(user)).statusCode, 201)
})

t.test('a statement that cannot be prepared takes none with it that was sent behind it (J05)', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url, { DATABASE_POOL_SIZE: '1' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const list = () => bob.call('GET', bob.tasks)
  const atOnce = (ask: () => Promise<Answer>) => Promise.all(Array.from({ length: 12 }, ask))
  const statuses = (answers: Answer[]) => [...new Set(answers.map(({ statusCode }) => statusCode))].sort()
  const db = directTo(t, url)
  // Right after the start: no connection has these statements yet.
  await db.transaction().execute(async (trx) => {
    await sql`lock table tasks in access exclusive mode`.execute(trx)
    const { result, seconds } = await secondsOf(Promise.all([atOnce(list), atOnce(() => addTask(alice))]))
    for (const answers of result) t.same(statuses(answers), [503])
    for (const answer of result.flat()) isUnavailable(t, answer, 'who waits for the lock, or behind one')
    t.ok(seconds <= 5, `${seconds.toFixed(1)} s`)
  })
  t.same(statuses(await atOnce(list)), [200])
  t.same(statuses(await atOnce(() => addTask(alice))), [201])

  // Given up once, and then there in time for who was behind.
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

t.test('a row that somebody holds is passed by at the clean-up (J05)', async (t) => {
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

t.test('what the database undoes for a deadlock is done again, and once', async (t) => {
  const { url } = await freshDatabase(t, server)
  const app = await instanceOn(t, url)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const db = directTo(t, url)
  const login = { email: alice.email, password }
  await app.inject({ method: 'POST', url: '/api/auth/login', payload: login })
  const new_password = 'another horse battery'
  // Two that each hold what the other wants: whoever has waited longer is undone.
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

t.test('an answer that is lost after the commit: the same again is safe', async (t) => {
  const network = await networkTo(t)
  const app = await instanceOn(t, network.url)
  const bob = await signUp(app, 'bob')
  const send = (url: string, payload: object) => app.inject({ method: 'POST', url, payload })
  const credentials = { email: 'alice@example.com', password }
  const account = { ...credentials, name: 'Alice' }

  // Which commits, too.
  await app.mailWorker?.settled()
  network.loseAnswerTo('commit')
  isUnavailable(t, await send('/api/auth/signup', account), 'signup')
  t.match((await send('/api/auth/signup', account)).json(), { code: 'email_already_registered' })
  const login = await send('/api/auth/login', credentials)
  t.equal(login.statusCode, 200, 'the account is there, with its password')

  const { refresh_token } = login.json()
  network.loseAnswerTo('update "sessions"')
  isUnavailable(t, await send('/api/auth/refresh', { refresh_token }), 'refresh')
  const refreshed = await send('/api/auth/refresh', { refresh_token })
  t.equal(refreshed.statusCode, 200, 'the session goes on')
  const next = await send('/api/auth/refresh', { refresh_token: refreshed.json().refresh_token })
  t.equal(next.statusCode, 200)

  const authorization = `Bearer ${next.json().token}`
  const logOut = () => app.inject({ method: 'POST', url: '/api/auth/logout', headers: { authorization } })
  network.loseAnswerTo('revocations')
  isUnavailable(t, await logOut(), 'logout')
  await until(401, logOut, 5)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})
