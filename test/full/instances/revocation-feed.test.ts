import { setImmediate } from 'node:timers/promises'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import type { Db } from '../../../src/db/schema.ts'
import type { Position } from '../../../src/feeds/position.ts'
import { readRevocations } from '../../../src/sessions/revocation-pages.ts'
import { signUp, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'

/** An instance, and plain connections as of psql. */
async function instance(t: Test, env: Record<string, string> = {}) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({ DATABASE_URL: url, ...env })
  const { db, listen, migrate } = await openDatabase(config, () => {})
  await migrate()
  const app = await buildApp(config, { db, listen })
  await app.ready()
  t.teardown(() => app.close())
  const connect = async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end().catch(() => {}))
    return client
  }
  const me = async (token: string) =>
    (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })).statusCode
  return { app, db, connect, me }
}

const revoke = "insert into revocations (session_id, ends_at) values ($1, now() + interval '1 hour')"

/** Reads one page from a position. */
async function readOn(db: Db, from: Position): Promise<{ sessions: string[]; position: Position }> {
  const { revocations, position } = await readRevocations(db, from)
  return {
    sessions: revocations
      .flatMap((each) => ('session' in each ? [each.session] : 'user' in each ? [each.user] : []))
      .sort(),
    position,
  }
}

t.test('a revocation that commits late is read, and once', async (t) => {
  const { db, connect } = await instance(t)
  const [late, other, foreign] = [await connect(), await connect(), await connect()]
  // A long transaction of another application.
  await foreign.query('begin; create table not_ours (id int)')
  await late.query('begin')
  await late.query(revoke, ['late'])
  const all = await readOn(db, {})
  t.same(all.sessions, [])
  await other.query(revoke, ['early'])
  const next = await readOn(db, all.position)
  t.same(next.sessions, ['early'], 'an open transaction delays no read')
  t.same((await readOn(db, next.position)).sessions, [], 'nothing is read twice')
  await late.query("update revocations set ends_at = ends_at + interval '1 s' where session_id = 'early'")
  await late.query('commit')
  const last = await readOn(db, next.position)
  t.same(last.sessions, ['early', 'late'], 'and a changed row again')
  t.same((await readOn(db, last.position)).sessions, [])
  await foreign.query('rollback')
})

t.test('savepoints, rollbacks and bulk changes lose no revocation', async (t) => {
  const { db, connect } = await instance(t)
  const [late, other] = [await connect(), await connect()]
  const start = await readOn(db, {})
  await late.query('begin; savepoint a')
  await late.query(revoke, ['undone'])
  await late.query('rollback to a; savepoint b')
  await late.query(revoke, ['in a savepoint'])
  await late.query(`insert into revocations (session_id, ends_at)
    select 'bulk' || n, now() + interval '1 hour' from generate_series(1, 4500) n`)
  const during = await readOn(db, start.position)
  t.same(during.sessions, [])
  await other.query(revoke, ['of another'])
  await late.query('commit')
  const read = new Set<string>()
  let position = during.position
  do {
    const page = await readOn(db, position)
    for (const session of page.sessions) read.add(session)
    position = page.position
  } while (position.page)
  t.equal(read.size, 4_502)
  t.notOk(read.has('undone'))
})

/** Retries until 401. @returns milliseconds */
async function untilRefused(ask: () => Promise<number>): Promise<number> {
  const start = performance.now()
  while ((await ask()) !== 401) {
    if (performance.now() - start > 5000) throw new Error('no 401 within 5 s')
    await setImmediate()
  }
  return performance.now() - start
}

t.test('sessions ended by SQL are refused within a second, of one user and of all', async (t) => {
  const { app, db, connect, me } = await instance(t, { REVOCATION_POLL_SECONDS: '5' })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const psql = await connect()
  const end = (where: string) => `with ended as (delete from sessions ${where} returning id)
    insert into revocations (session_id, ends_at) select id, now() + interval '25 hours' from ended`
  await psql.query(end(`where user_id = '${alice.id}'`))
  const one = await untilRefused(() => me(alice.token))
  t.ok(one < 1000, `${Math.round(one)} ms`)
  t.equal(await me(bob.token), 200)

  await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
    select 'session_' || n, ${bob.id}, salt, ip, user_agent, idle_expires_at, expires_at
    from generate_series(1, 5000) n, (select * from sessions where user_id = ${bob.id} limit 1) s`.execute(db)
  await psql.query(end(''))
  const all = await untilRefused(() => me(bob.token))
  t.ok(all < 1000, `${Math.round(all)} ms`)
})

t.test('many rows, or a long one, cause one short notification', async (t) => {
  const { connect } = await instance(t)
  const [listener, psql] = [await connect(), await connect()]
  const heard: string[] = []
  listener.on('notification', ({ payload = '' }) => heard.push(payload))
  await listener.query('listen latchkey_revocations')
  const bulk = (rows: number) =>
    psql.query(`insert into revocations (session_id, ends_at)
      select 'x' || n, now() + interval '1 hour' from generate_series(1, ${rows}) n`)
  await bulk(101)
  await psql.query(revoke, ['x'.repeat(9_000)])
  await bulk(100)
  await listener.query('select 1')
  while (heard.length < 102) await listener.query('select 1')
  t.same(heard.slice(0, 2), ['read', 'read'])
  t.match(JSON.parse(heard[2] ?? ''), { session_id: 'x1', user_id: null })
})

t.test('two transactions that revoke one user leave one row', async (t) => {
  const { db, connect } = await instance(t)
  const revokeUser = (ends: string) =>
    `insert into revocations (user_id, ends_at) values ('alice', now() + interval '${ends}')`
  const clients = await Promise.all([connect(), connect(), connect()])
  await Promise.all(clients.map((client, at) => client.query(revokeUser(`${3 - at} hours`))))
  await clients[0]?.query('begin')
  await clients[0]?.query(revokeUser('9 hours'))
  const second = clients[1]?.query(revokeUser('1 hour'))
  await clients[0]?.query('commit')
  await second
  const { rows } = await sql`select ends_at > now() + interval '8 hours' as longest from revocations`.execute(
    db,
  )
  t.same(rows, [{ longest: true }])
})
