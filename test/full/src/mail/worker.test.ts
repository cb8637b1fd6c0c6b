import { once } from 'node:events'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { maxWaiting } from '../../../../src/mail/requests.ts'
import { type AppOptions, keptOpen, migratedDatabase, password, problemOf, testApp } from '../../../helper.ts'
import { post } from '../../../support/mailbox.ts'
import { closedPort, headerOf, mailServer, refusal } from '../../../support/smtp.ts'

const alice = { email: 'alice@example.com', password, name: 'Alice' }
const tokenIn = (text: string | undefined) => /#token=([\w-]+)/.exec(text ?? '')?.[1] ?? 'none'

/** An app that mails to a port, and the lines of its log. */
async function mailingApp(t: Test, port: number, options: AppOptions = {}) {
  const lines: string[] = []
  const env = { LOG_LEVEL: 'info', SMTP_URL: `smtp://127.0.0.1:${port}`, ...options.env }
  const app = await testApp(t, { ...options, env, log: (line) => lines.push(line) })
  const events = (name: string) => lines.map((line) => JSON.parse(line)).filter(({ event }) => event === name)
  return { app, events, lines }
}

const outbox = (app: FastifyInstance) => app.db.selectFrom('mail_outbox').selectAll().orderBy('id').execute()

/** Makes the next attempt due, and waits for it. */
async function nextAttempt(app: FastifyInstance): Promise<void> {
  await app.mailWorker?.settled()
  await sql`update mail_outbox set next_attempt_at = now() - interval '1 minute' where state = 'waiting'`.execute(
    app.db,
  )
  app.mail.wake()
  await app.mailWorker?.settled()
}

t.test(
  'an unreachable mail server delays mail and nothing else; the token stays the same (E15)',
  async (t) => {
    const port = await closedPort(t)
    const { app, events } = await mailingApp(t, port)
    t.equal((await post(app, 'signup', alice)).statusCode, 201)
    await app.mailWorker?.settled()
    t.match(await outbox(app), [
      { state: 'waiting', mail: 'verify_email', attempts: 1, last_error: 'ESOCKET ECONNREFUSED CONN' },
    ])
    const [{ salt, token_hash } = {}] = await app.db.selectFrom('one_time_tokens').selectAll().execute()
    await nextAttempt(app)
    t.match(await outbox(app), [{ state: 'waiting', attempts: 2 }])
    t.match(events('mail_delayed'), [{ level: 40, reason: 'ESOCKET ECONNREFUSED CONN' }, { attempts: 2 }])

    // An outage longer than the link’s lifetime: that starts when the mail is sent.
    await sql`update one_time_tokens set expires_at = now() - interval '1 minute'`.execute(app.db)
    const server = await mailServer(t, { port })
    await nextAttempt(app)
    t.equal(server.mails.length, 1)
    t.match(await outbox(app), [{ state: 'sent', attempts: 3, last_error: null }])
    t.match(await app.db.selectFrom('one_time_tokens').selectAll().execute(), [{ salt, token_hash }])
    const token = tokenIn(server.mails[0]?.text)
    t.equal((await post(app, 'email/verify', { token })).statusCode, 204)
  },
)

t.test('retries back off, and a mail is given up after a day, with a log line', async (t) => {
  const { app, events } = await mailingApp(t, await closedPort(t))
  await post(app, 'signup', alice)
  const delays: number[] = []
  for (let attempt = 0; attempt < 12; attempt++) {
    if (attempt > 0) await nextAttempt(app)
    else await app.mailWorker?.settled()
    const { rows } = await sql<{ delay: number }>`select
      extract(epoch from next_attempt_at - now())::float8 as delay from mail_outbox`.execute(app.db)
    delays.push(rows[0]?.delay ?? 0)
  }
  delays.forEach((delay, attempt) => {
    const planned = Math.min(10 * 2 ** attempt, 3600)
    t.ok(delay > planned * 0.7 && delay < planned * 1.3, `attempt ${attempt + 1}: ${Math.round(delay)} s`)
  })
  await sql`update mail_outbox set created_at = now() - interval '25 hours'`.execute(app.db)
  await nextAttempt(app)
  t.match(await outbox(app), [{ state: 'failed', attempts: 13, last_error: 'ESOCKET ECONNREFUSED CONN' }])
  t.match(events('mail_given_up'), [
    { level: 50, mail: 'verify_email', attempts: 13, reason: 'ESOCKET ECONNREFUSED CONN' },
  ])
  await nextAttempt(app)
  t.match(await outbox(app), [{ attempts: 13 }])
})

t.test(
  'a mail to an unknown mailbox is given up at once, a transient refusal of the server is retried',
  async (t) => {
    const unknown = await mailServer(t, { onRcptTo: (_address, _session, done) => done(refusal(550)) })
    const first = await mailingApp(t, unknown.port)
    await post(first.app, 'signup', alice)
    await first.app.mailWorker?.settled()
    t.match(await outbox(first.app), [{ state: 'failed', attempts: 1, last_error: 'EENVELOPE 550 RCPT TO' }])
    t.equal(first.events('mail_given_up').length, 1)

    let spam = true
    const strict = await mailServer(t, { accept: async () => (spam ? refusal(554) : null) })
    const second = await mailingApp(t, strict.port)
    await post(second.app, 'signup', alice)
    await second.app.mailWorker?.settled()
    t.match(await outbox(second.app), [{ state: 'waiting', last_error: 'EMESSAGE 554 DATA' }])
    spam = false
    await nextAttempt(second.app)
    t.match(await outbox(second.app), [{ state: 'sent' }])
  },
)

t.test('a lost SMTP reply sends the mail again, with the same token and id (E15)', async (t) => {
  const server = await mailServer(t, {
    accept: async () => {
      // The server accepts the mail; the connection breaks before the reply.
      if (server.mails.length === 0) server.cut()
      return null
    },
  })
  const { app } = await mailingApp(t, server.port)
  await post(app, 'signup', alice)
  await app.mailWorker?.settled()
  t.match(await outbox(app), [{ state: 'waiting', attempts: 1 }])
  await nextAttempt(app)
  t.match(await outbox(app), [{ state: 'sent', attempts: 2 }])
  const [first, second, ...more] = server.mails
  t.same(more, [])
  t.equal(tokenIn(second?.text), tokenIn(first?.text))
  t.equal(headerOf(second?.headers ?? [], 'message-id'), headerOf(first?.headers ?? [], 'message-id'))
  t.equal((await post(app, 'email/verify', { token: tokenIn(first?.text) })).statusCode, 204)
})

t.test('a mail server that hangs delays no request and no stop (E15)', async (t) => {
  let release = () => {}
  const held = new Promise<null>((resolve) => {
    release = () => resolve(null)
  })
  const server = await mailServer(t, { accept: () => held })
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const { app } = await mailingApp(t, server.port, { db: keptOpen(db) })
  const arrived = once(server.events, 'data')
  t.equal((await post(app, 'signup', alice)).statusCode, 201)
  await arrived
  for (let count = 0; count < 8; count++) {
    t.equal((await post(app, 'password/forgot', { email: `nobody${count}@example.com` })).statusCode, 202)
  }
  t.match((await outbox(app))[0], { state: 'waiting', attempts: 1 })

  await t.test('a stop waits for deliveries in flight', async (t) => {
    const closed = app.close()
    release()
    await closed
    t.match(await db.selectFrom('mail_outbox').selectAll().orderBy('id').limit(1).execute(), [
      { state: 'sent' },
    ])
    t.equal(server.mails.length, 1)
  })
})

t.test('a stop is bounded in time; the mail stays for the next start', async (t) => {
  const server = await mailServer(t, { accept: () => new Promise(() => {}) })
  const { app } = await mailingApp(t, server.port)
  const arrived = once(server.events, 'data')
  await post(app, 'signup', alice)
  await arrived
  const start = performance.now()
  await app.mailWorker?.stop(50)
  t.ok(performance.now() - start < 2_000)
  t.match(await outbox(app), [{ state: 'waiting' }])
})

t.test('a link that was used or replaced in the meantime is not mailed', async (t) => {
  const port = await closedPort(t)
  const { app } = await mailingApp(t, port)
  await post(app, 'signup', alice)
  await post(app, 'password/forgot', { email: alice.email })
  await app.mailWorker?.settled()
  await post(app, 'password/forgot', { email: alice.email })
  await app.mailWorker?.settled()
  const server = await mailServer(t, { port })
  await nextAttempt(app)
  t.same(
    (await outbox(app)).map(({ kind, state }) => [kind, state]),
    [
      ['signup', 'sent'],
      ['forgot', 'dropped'],
      ['forgot', 'sent'],
    ],
  )
  const reset = server.mails.find(({ text }) => text.includes('/reset-password'))
  const body = { token: tokenIn(reset?.text), new_password: 'another password' }
  t.equal((await post(app, 'password/reset', body)).statusCode, 204)
})

t.test('a mail is sent under the secret of its token', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const port = await closedPort(t)
  const secrets = [
    'q6Yz8tGv1LrS0pXwB4nJ7hDkE2cMfA9u',
    'Zx7Qm2Vt9KdW4sRb8NcYf3HgJ6pLaE1u',
    'Tt5Rr8Ww2Yy6Uu4Ii9Oo1Pp3Aa7Ss0Dd',
  ]
  const [first = '', second = '', third = ''] = secrets
  const before = await mailingApp(t, port, { db: keptOpen(db), env: { SECRET_KEY: first } })
  await post(before.app, 'signup', alice)
  await post(before.app, 'signup', { ...alice, email: 'bob@example.com' })
  await before.app.mailWorker?.settled()
  await before.app.close()

  const server = await mailServer(t, { port })
  const rotated = { SECRET_KEY: second, SECRET_KEY_PREVIOUS: first }
  const after = await mailingApp(t, port, { db: keptOpen(db), env: rotated })
  await after.app.mailWorker?.settled()
  await sql`update mail_outbox set next_attempt_at = now() where recipient = ${alice.email}`.execute(db)
  after.app.mail.wake()
  await after.app.mailWorker?.settled()
  t.equal(server.mails.length, 1)
  const token = tokenIn(server.mails[0]?.text)
  t.equal((await post(after.app, 'email/verify', { token })).statusCode, 204)
  await after.app.close()

  const replaced = await mailingApp(t, port, { db: keptOpen(db), env: { SECRET_KEY: third } })
  await nextAttempt(replaced.app)
  t.match(await outbox(replaced.app), [{ state: 'sent' }, { state: 'failed', last_error: 'UnknownSecret' }])
  t.equal(server.mails.length, 1)
})

t.test('a full outbox refuses requests for mail, and no signup (E14)', async (t) => {
  const app = await testApp(t)
  await app.mailWorker?.stop(5_000)
  await sql`insert into mail_outbox (kind, recipient, next_attempt_at)
    select 'forgot', 'x@example.com', now() + interval '1 day' from generate_series(1, ${maxWaiting})`.execute(
    app.db,
  )
  const full = await post(app, 'password/forgot', { email: alice.email })
  t.match(problemOf(full), { status: 503, code: 'mail_unavailable' })
  t.equal(full.headers['retry-after'], '60')
  t.equal((await post(app, 'signup', alice)).statusCode, 201)
})

t.test('an address gets at most three notices of one kind an hour', async (t) => {
  const app = await testApp(t)
  const signup = (await post(app, 'signup', alice)).json()
  await app.mailWorker?.settled()
  await post(app, 'email/verify', { token: app.mailbox?.mails[0]?.secret ?? 'none' })
  let current = password
  for (let round = 0; round < 5; round++) {
    const wanted = `the password number ${round}`
    await app.inject({
      method: 'PUT',
      url: '/api/auth/password',
      payload: { current_password: current, new_password: wanted },
      headers: { authorization: `Bearer ${signup.token}` },
    })
    current = wanted
  }
  for (let round = 0; round < 5; round++) {
    await post(app, 'password/forgot', { email: alice.email })
    // A request replaces a pending mail of its kind.
    await app.mailWorker?.settled()
  }
  const names = app.mailbox?.mails.map(({ name }) => name) ?? []
  t.equal(names.filter((name) => name === 'password_changed').length, 3)
  t.equal(names.filter((name) => name === 'reset_password').length, 3)
})

t.test('no token is in the database, or in the log at any level (B13, I04)', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, { env: { LOG_LEVEL: 'trace' }, log: (line) => lines.push(line) })
  const secrets: string[] = [alice.password]
  const newest = async () => {
    await app.mailWorker?.settled()
    const secret = app.mailbox?.mails[0]?.secret ?? 'none'
    secrets.push(secret)
    await notInDatabase(secret)
    return secret
  }
  const notInDatabase = async (secret: string) => {
    const bytes = Buffer.from(secret, 'base64url')
    for (const table of ['users', 'sessions', 'security_events', 'one_time_tokens', 'mail_outbox'] as const) {
      const dump = (
        await sql<{ row: string }>`select r::text as row from ${sql.table(table)} r`.execute(app.db)
      ).rows
        .map(({ row }) => row)
        .join('\n')
      for (const form of [secret, bytes.toString('hex'), bytes.toString('base64')])
        t.notOk(dump.includes(form), table)
    }
  }
  const { token } = (await post(app, 'signup', alice)).json()
  const verification = await newest()
  await post(app, 'password/forgot', { email: alice.email })
  const reset = await newest()
  await app.inject({
    method: 'PUT',
    url: '/api/auth/email',
    payload: { new_email: 'new@example.com', password },
    headers: { authorization: `Bearer ${token}` },
  })
  const change = await newest()
  await app.inject({ url: '/api/auth/email/verify', query: { token: verification } })
  await post(app, `email/verify?token=${verification}`, { token: verification })
  await post(app, 'email/verify', { token: reset })
  await post(app, 'password/reset', { token: reset, new_password: 'short' })
  await post(app, 'email/verify', { token: change, next: change })
  secrets.push('another password')
  t.equal(
    (await post(app, 'password/reset', { token: reset, new_password: 'another password' })).statusCode,
    204,
  )
  await app.mailWorker?.settled()
  t.ok(lines.length > 10)
  t.equal(new Set(secrets).size, 5)
  for (const secret of secrets) {
    t.notOk(
      lines.some((line) => line.includes(secret)),
      'not in the log',
    )
  }
  t.ok(lines.some((line) => line.includes('#token=(see /dev/mailbox)')))
})
