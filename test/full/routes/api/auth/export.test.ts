import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import { sql } from 'kysely'
import t from 'tap'
import { exportedTables } from '../../../../../src/export/tables.ts'
import { resources } from '../../../../../src/resources/index.ts'
import { migratedDatabase, problemOf, signUp, testApp, twoUsers } from '../../../../helper.ts'
import { enrol } from '../../../../support/authenticator.ts'
import { portOf } from '../../../../support/wire.ts'

interface Line {
  readonly kind: string
  readonly data: Record<string, unknown>
}

const url = '/api/auth/me/export'

const linesOf = (text: string): Line[] =>
  text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line))

t.test('the export has everything of the account, nothing of another one, and no secret', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await enrol(alice)
  for (const [user, mark] of [
    [alice, 'of alice'],
    [bob, 'of bob'],
  ] as const) {
    const headers = { 'idempotency-key': `${mark.replace(' ', '-')}-0123456789` }
    await user.call('POST', user.tasks, { title: `task ${mark}` }, { headers })
    await user.call('POST', '/api/auth/keys', {
      name: `key ${mark}`,
      scopes: ['tasks:read'],
      expires_in_days: 1,
    })
  }
  await app.inject({ method: 'POST', url: '/api/auth/password/forgot', payload: { email: alice.email } })
  await app.mailWorker?.settled()
  await app.securityEvents.flush()
  const answer = await alice.call('GET', url)
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['content-type'], 'application/x-ndjson; charset=utf-8')
  t.equal(answer.headers['cache-control'], 'no-store')
  t.match(answer.headers['content-disposition'], /^attachment; filename="[\w.]+"$/)
  const lines = linesOf(answer.body)
  const of = (kind: string) => lines.filter((line) => line.kind === kind).map(({ data }) => data)
  t.match(lines[0], { kind: 'export', data: { user_id: alice.id, withheld: { users: ['password_hash'] } } })
  t.same(lines.at(-1), { kind: 'end', data: { rows: lines.length - 2 } })
  t.match(of('users'), [{ email: alice.email, name: 'alice', email_verified: false }])
  t.match(of('tasks'), [{ title: 'task of alice', completed: false, version: 1 }])
  t.match(of('api_keys'), [{ name: 'key of alice', scopes: ['tasks:read'] }])
  t.equal(of('sessions').length, 1)
  t.equal(of('totp_factors').length, 1)
  t.match(of('one_time_tokens'), [{ email: alice.email }, { email: alice.email }])
  t.ok(of('mail_outbox').length > 1)
  t.ok(of('idempotency_keys').length > 0)
  const events = of('security_events').map(({ event }) => event)
  for (const event of ['account_created', 'factor_added', 'api_key_created'])
    t.ok(events.includes(event), event)
  t.notOk(/of bob|bob\./.test(answer.body), 'nothing of another user')

  let secrets = 0
  for (const { table, owner, withheld } of exportedTables(resources)) {
    for (const column of Object.keys(withheld)) {
      if (column === 'xid') continue
      t.same(
        lines.filter(({ kind, data }) => kind === table && column in data),
        [],
      )
      const { rows } = await sql<{ value: string | null }>`
        select case pg_typeof(${sql.ref(column)})::text when 'bytea' then encode(${sql.ref(column)}::text::bytea, 'hex')
          else ${sql.ref(column)}::text end as value
        from ${sql.table(table)} where ${sql.ref(owner)} = ${alice.id}`.execute(app.db)
      for (const { value } of rows) {
        if (value === null) continue
        secrets++
        t.notOk(answer.body.includes(value.replace(/^\\x/, '')), `${table}.${column}`)
      }
    }
  }
  t.ok(secrets > 8, `${secrets} secrets are looked for`)
})

t.test('more rows than a statement reads come once each, in order, by composite keys too', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  for (const { id } of [alice, bob]) {
    await sql`insert into tasks (user_id, title) select ${id}, 'task ' || i from generate_series(1, 250) i`.execute(
      app.db,
    )
    await sql`insert into idempotency_keys (user_id, operation, key_mac, body_mac, outcome)
      select ${id}, 'operation ' || i % 3, decode(md5(i::text), 'hex'), '\\x00', to_jsonb(i)
      from generate_series(1, 230) i`.execute(app.db)
  }
  const lines = linesOf((await alice.call('GET', url)).body)
  const titles = lines.filter(({ kind }) => kind === 'tasks').map(({ data }) => data['title'])
  t.same(
    titles,
    Array.from({ length: 250 }, (_, at) => `task ${at + 1}`),
  )
  const outcomes = lines.filter(({ kind }) => kind === 'idempotency_keys').map(({ data }) => data['outcome'])
  t.equal(outcomes.length, 230)
  t.equal(new Set(outcomes).size, 230)
})

t.test('it asks for a recent login, takes no API key, and is an event', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const app = await testApp(t, { clock: () => now })
  const alice = await signUp(app, 'alice')
  const made = await alice.call('POST', '/api/auth/keys', {
    name: 'x',
    scopes: ['tasks:read', 'tasks:write'],
    expires_in_days: 1,
  })
  const byKey = await app.inject({ url, headers: { authorization: `Bearer ${made.json().key}` } })
  t.match(problemOf(byKey), { status: 403, code: 'insufficient_scope' })
  t.equal((await app.inject(url)).statusCode, 401)
  t.equal((await alice.call('GET', url)).statusCode, 200)
  await app.securityEvents.flush()
  const rows = await app.db
    .selectFrom('security_events')
    .select('event')
    .where('event', '=', 'account_exported')
    .execute()
  t.equal(rows.length, 1)
  now += 600
  const late = await alice.call('GET', url)
  t.match(problemOf(late), { status: 401, code: 'insufficient_user_authentication' })
  t.match(late.headers['www-authenticate'], /max_age=300/)
  t.equal((await alice.call('HEAD', url)).statusCode, 405, 'which would read everything for nothing')
})

t.test('an account has a budget of exports, and another one its own', async (t) => {
  const { alice, bob } = await twoUsers(t, { env: { RATE_LIMIT_EXPORTS: '2/1h' } })
  for (const status of [200, 200, 429]) t.equal((await alice.call('GET', url)).statusCode, status)
  const refused = await alice.call('GET', url)
  t.match(problemOf(refused), { status: 429, code: 'rate_limited' })
  t.ok(Number(refused.headers['retry-after']) > 3000)
  t.equal((await bob.call('GET', url)).statusCode, 200)
})

t.test('it is streamed: a reader that stops reading stops the statements', async (t) => {
  let rows = 0
  const db = (await migratedDatabase(t)).withPlugin({
    transformQuery: ({ node }) => node,
    async transformResult({ result }) {
      rows += result.rows.length
      return result
    },
  })
  const app = await testApp(t, { db })
  const alice = await signUp(app, 'alice')
  const count = 10_000
  await sql`insert into tasks (user_id, title, description) select ${alice.id}, 'x', repeat('x', 1000)
    from generate_series(1, ${count}) i`.execute(app.db)
  await app.listen({ port: 0, host: '127.0.0.1' })
  const socket = connect(portOf(app), '127.0.0.1')
  const [ofService] = (await once(app.server, 'connection')) as [Socket]
  socket.write(`GET ${url} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer ${alice.token}\r\n\r\n`)
  const [first] = await once(socket, 'data')
  socket.pause()
  t.match(String(first), /^HTTP\/1\.1 200 OK\r\n/)
  socket.destroy()
  // It may report a reset before.
  await new Promise((resolve) => ofService.once('close', resolve))
  t.ok(rows < count, `${rows} rows were read`)
})
