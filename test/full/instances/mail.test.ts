import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { password, signUp, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { post as request, startService } from '../../support/process.ts'
import { production, server } from '../../support/production.ts'
import { closedPort, headerOf, mailServer } from '../../support/smtp.ts'

/** Instances of the service on one database and one mail server. */
async function instances(t: Test, smtpPort: number, count: number, env: Record<string, string> = {}) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({
    DATABASE_URL: url,
    SMTP_URL: `smtp://127.0.0.1:${smtpPort}`,
    // 50 concurrent requests would wait for a connection.
    DATABASE_POOL_SIZE: '10',
    ...env,
  })
  const apps: FastifyInstance[] = []
  for (let at = 0; at < count; at++) {
    const { db, listen, migrate } = await openDatabase(config, () => {})
    await migrate()
    const app = await buildApp(config, { db, listen })
    await app.ready()
    t.teardown(() => app.close())
    apps.push(app)
  }
  return apps
}

const post = (app: FastifyInstance | undefined, path: string, payload: object) => {
  if (!app) throw new Error('no such instance')
  return app.inject({ method: 'POST', url: `/api/auth/${path}`, payload })
}

const tokenIn = (text: string | undefined) => /#token=([\w-]+)/.exec(text ?? '')?.[1] ?? 'none'

/** The token of the newest mail with a link to a page. */
const tokenFor = (page: string, mails: readonly { text: string }[]) =>
  tokenIn(mails.findLast(({ text }) => text.includes(`/${page}#`))?.text)

const settled = (apps: FastifyInstance[]) => Promise.all(apps.map((app) => app.mailWorker?.settled()))

t.test('three instances send each mail once', async (t) => {
  const smtp = await mailServer(t)
  const apps = await instances(t, smtp.port, 3)
  const addresses = Array.from({ length: 60 }, (_, at) => `user${at}@example.com`)
  // All workers poll constantly, not only that of the writing instance.
  const busy = setInterval(() => {
    for (const app of apps) app.mail.wake()
  }, 1)
  const answers = await Promise.all(
    addresses.map((email, at) => post(apps[at % 3], 'signup', { email, password, name: 'x' })),
  )
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [201])
  for (let round = 0; round < 3; round++) {
    for (const app of apps) app.mail.wake()
    await settled(apps)
  }
  clearInterval(busy)
  t.same(smtp.mails.flatMap(({ recipients }) => recipients).sort(), addresses.sort())
  const states = await sql`select state, attempts, count(*) from mail_outbox group by 1, 2`.execute(
    apps[0]?.db as never,
  )
  t.same(states.rows, [{ state: 'sent', attempts: 1, count: 60 }])
})

t.test('of 50 concurrent resets on two instances, one succeeds (E08)', async (t) => {
  const smtp = await mailServer(t)
  const apps = await instances(t, smtp.port, 2)
  const alice = await signUp(apps[0] as FastifyInstance, 'alice')
  await post(apps[1], 'password/forgot', { email: alice.email })
  await settled(apps)
  const token = tokenFor('reset-password', smtp.mails)
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) =>
      post(apps[at % 2], 'password/reset', { token, new_password: `password ${at}` }),
    ),
  )
  const won = answers.flatMap(({ statusCode }, at) => (statusCode === 204 ? [at] : []))
  t.equal(won.length, 1)
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))].sort(), [204, 400])
  const login = await post(apps[1], 'login', { email: alice.email, password: `password ${won[0]}` })
  t.equal(login.statusCode, 200)
})

t.test('50 concurrent requests on two instances send three mails (E14)', async (t) => {
  const smtp = await mailServer(t)
  const apps = await instances(t, smtp.port, 2)
  const alice = await signUp(apps[0] as FastifyInstance, 'alice')
  await sql`update mail_outbox set created_at = created_at - interval '61 minutes'`.execute(
    apps[0]?.db as never,
  )
  const answers = await Promise.all(
    Array.from({ length: 50 }, (_, at) => post(apps[at % 2], 'password/forgot', { email: alice.email })),
  )
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [202])
  const rows = await sql`select 1 from mail_outbox where kind = 'forgot'`.execute(apps[0]?.db as never)
  t.equal(rows.rows.length, 3)
})

t.test('a verified address has its own quota of resets, over all instances (E14)', async (t) => {
  const smtp = await mailServer(t)
  const apps = await instances(t, smtp.port, 2)
  const [one] = apps as [FastifyInstance, FastifyInstance]
  const alice = await signUp(one, 'alice')
  await sql`update users set email_verified = true`.execute(one.db)
  for (const tag of ['a', 'b', 'c']) {
    await post(one, 'signup', { email: alice.email.replace('@', `+${tag}@`), password, name: 'x' })
  }
  await settled(apps)
  for (let round = 0; round < 3; round++) {
    await Promise.all(
      Array.from({ length: 20 }, (_, at) => post(apps[at % 2], 'password/forgot', { email: alice.email })),
    )
    for (const app of apps) app.mail.wake()
    await settled(apps)
  }
  const rows = await sql`select 1 from mail_outbox where mail = 'reset_password'`.execute(one.db)
  t.ok(rows.rows.length >= 1 && rows.rows.length <= 3, `${rows.rows.length} resets`)
  const reset = { token: tokenFor('reset-password', smtp.mails), new_password: 'another password' }
  t.equal((await post(one, 'password/reset', reset)).statusCode, 204)
})

t.test(
  'concurrent signups with the address do not affect the reset that its mailbox chooses (E11)',
  async (t) => {
    const smtp = await mailServer(t)
    const apps = await instances(t, smtp.port, 2, { REQUIRE_EMAIL_VERIFICATION: 'true' })
    const email = 'victim@example.com'
    await post(apps[0], 'signup', { email, password, name: 'Mallory' })
    await settled(apps)
    // Uses up the mailbox's share: a further mail would replace the link.
    for (const chosen of ['the password of victor', 'the password of vera']) {
      await post(apps[1], 'signup', { email, password: chosen, name: 'Victor' })
      await settled(apps)
    }
    const reset = { token: tokenFor('reset-password', smtp.mails), new_password: 'chosen in the mailbox' }
    const contest = (at: number) =>
      post(apps[at % 2], 'signup', { email, password: `password number ${at}`, name: 'Mallory' })
    const answers = await Promise.all([
      ...Array.from({ length: 8 }, (_, at) => contest(at)),
      post(apps[0], 'password/reset', reset),
      ...Array.from({ length: 8 }, (_, at) => contest(at + 8)),
    ])
    t.same([...new Set(answers.map(({ statusCode }) => statusCode))].sort(), [202, 204])
    t.equal((await contest(99)).statusCode, 202)
    const login = await post(apps[1], 'login', { email, password: 'chosen in the mailbox' })
    t.match(login.json(), { user: { name: 'User', email_verified: true } })
  },
)

t.test(
  'a reset and a change of address end sessions on the other instance within a second (B10)',
  async (t) => {
    const smtp = await mailServer(t)
    const apps = await instances(t, smtp.port, 2)
    const [one, two] = apps as [FastifyInstance, FastifyInstance]
    const ends: Record<string, (email: string, token: string) => Promise<number>> = {
      reset: async (email) => {
        await post(one, 'password/forgot', { email })
        await settled(apps)
        const body = { token: tokenFor('reset-password', smtp.mails), new_password: 'another password' }
        return (await post(one, 'password/reset', body)).statusCode
      },
      'change of address': async (_email, token) => {
        const asked = await one.inject({
          method: 'PUT',
          url: '/api/auth/email',
          payload: { new_email: 'new@example.com', password },
          headers: { authorization: `Bearer ${token}` },
        })
        t.equal(asked.statusCode, 202)
        await settled(apps)
        return (await post(one, 'email/verify', { token: tokenFor('verify-email', smtp.mails) })).statusCode
      },
    }
    for (const [name, end] of Object.entries(ends)) {
      const user = await signUp(one, 'alice')
      await settled(apps)
      const me = async () =>
        (await two.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${user.token}` } }))
          .statusCode
      t.equal(await me(), 200, name)
      t.equal(await end(user.email, user.token), 204, name)
      const start = performance.now()
      while ((await me()) !== 401) if (performance.now() - start > 5_000) break
      t.ok(performance.now() - start < 1_000, `${name}: ${Math.round(performance.now() - start)} ms`)
      t.equal((await post(two, 'refresh', { refresh_token: user.refreshToken })).statusCode, 401, name)
    }
  },
)

t.test('kill -9 between the commit and the delivery; the next start delivers (E15)', async (t) => {
  const port = await closedPort(t)
  const env = await production(t, {
    SMTP_URL: `smtp://127.0.0.1:${port}`,
    MAIL_FROM: 'Example <no-reply@example.com>',
    APP_URL: 'https://app.example.com',
    REQUIRE_EMAIL_VERIFICATION: 'true',
  })
  const cwd = t.testdir()
  const first = await startService(t, env, cwd)
  t.match(first.output(), /mail +by SMTP/)
  const alice = { email: 'alice@example.com', password, name: 'Alice' }
  t.equal((await request(`${first.url}/api/auth/signup`, alice)).status, 202)
  t.same(await first.stop('SIGKILL'), { code: null, signal: 'SIGKILL' })

  const { db } = await openDatabase(testConfig({ DATABASE_URL: env['DATABASE_URL'] ?? '' }), () => {})
  t.teardown(() => db.destroy())
  const waiting = await db.selectFrom('mail_outbox').selectAll().execute()
  t.match(waiting, [{ kind: 'signup', state: 'waiting', recipient: alice.email }])
  // A claimed mail is reserved for two minutes.
  await sql`update mail_outbox set next_attempt_at = now()`.execute(db)

  const smtp = await mailServer(t, { port })
  const arrived = new Promise((resolve) => smtp.events.once('mail', resolve))
  const second = await startService(t, env, cwd)
  await arrived
  t.equal(headerOf(smtp.mails[0]?.headers ?? [], 'message-id'), `<${waiting[0]?.message_id}@example.com>`)
  const login = { email: alice.email, password }
  t.equal((await request(`${second.url}/api/auth/login`, login)).status, 403)
  const token = tokenIn(smtp.mails[0]?.text)
  t.equal((await request(`${second.url}/api/auth/email/verify`, { token })).status, 204)
  t.equal((await request(`${second.url}/api/auth/login`, login)).status, 200)
  t.same(await second.stop('SIGTERM'), { code: 0, signal: null })
  t.equal(smtp.mails.length, 1)
})

t.test('a locked mail does not block a worker', async (t) => {
  const smtp = await mailServer(t)
  const [one] = await instances(t, smtp.port, 1)
  const app = one as FastifyInstance
  await app.mailWorker?.stop(5_000)
  await signUp(app, 'alice')
  await signUp(app, 'bob')
  const { claimMails } = await import('../../../src/mail/queue.ts')
  await app.db.transaction().execute(async (trx) => {
    const [held] = await trx
      .selectFrom('mail_outbox')
      .select('id')
      .orderBy('id')
      .limit(1)
      .forUpdate()
      .execute()
    const claimed = await claimMails(app.db, 5)
    t.equal(claimed.length, 1)
    t.not(claimed[0]?.id, held?.id)
  })
})
