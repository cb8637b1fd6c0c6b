import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { Webhook } from 'standardwebhooks'
import t from 'tap'
import type { Db } from '../../../src/db/schema.ts'
import { countByState } from '../../../src/outbox/queue.ts'
import { postEvent } from '../../../src/webhooks/sender.ts'
import { parseWebhookSecret } from '../../../src/webhooks/signature.ts'
import { keptOpen, migratedDatabase, signUp, testApp, testConfig } from '../../helper.ts'
import { basic, serviceClients } from '../../support/service-client.ts'
import { webhookReceiver } from '../../support/webhook-receiver.ts'

const secret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`
const previous = `whsec_${Buffer.alloc(24, 2).toString('base64')}`

const envOf = (url: string, rest: Record<string, string> = {}) => ({
  WEBHOOK_URL: url,
  WEBHOOK_SECRET: secret,
  ...serviceClients({ reader: ['events:read'] }),
  ...rest,
})

const note = (app: FastifyInstance, count: number, event = 'login') =>
  sql`insert into security_events (event, user_id) select ${event}, 'u' || n from generate_series(1, ${count}::int) n`.execute(
    app.db,
  )

const countDeliveries = (db: Db) => countByState(db, 'webhook_deliveries', ['waiting', 'failed'])

const dueNow = (db: Db) => sql`update webhook_deliveries set next_attempt_at = now()`.execute(db)

t.test('each event is a POST that a receiver of Standard Webhooks verifies', async (t) => {
  const { url, received, has } = await webhookReceiver(t)
  const app = await testApp(t, { env: envOf(url) })
  await signUp(app, 'alice')
  await has(2)
  const feed = await app.inject({ url: '/api/events', headers: { authorization: basic('reader') } })
  const { events } = feed.json<{ events: { id: string }[] }>()
  const bodies = received.map(({ headers, body }) => {
    const event = new Webhook(secret).verify(body, headers) as { id: string }
    t.equal(headers['webhook-id'], event.id)
    t.match(headers['webhook-timestamp'], /^\d{10}$/)
    t.match(headers['content-type'], /^application\/json/)
    return event
  })
  t.same(
    bodies.sort((a, b) => a.id.localeCompare(b.id)),
    events.sort((a, b) => a.id.localeCompare(b.id)),
    'what the feed has',
  )
  t.throws(() => new Webhook(previous).verify(received[0]?.body ?? '', received[0]?.headers ?? {}))
  await app.webhookWorker?.settled()
  t.same(await countDeliveries(app.db), { waiting: 0, failed: 0 }, 'and leaves no row')
})

t.test('during a rotation both secrets verify; only the wanted types come', async (t) => {
  const { url, received, has } = await webhookReceiver(t)
  const env = envOf(url, {
    WEBHOOK_SECRET_PREVIOUS: previous,
    WEBHOOK_EVENTS: 'user.created, password_changed',
  })
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  await note(app, 3)
  await note(app, 1, 'password_changed')
  await has(2)
  await app.webhookWorker?.settled()
  t.equal(received.length, 2)
  for (const each of [secret, previous])
    for (const { body, headers } of received) t.ok(new Webhook(each).verify(body, headers))
  t.match(
    received.map(({ body }) => JSON.parse(body)),
    [
      { type: 'user.created', user_id: alice.id },
      { type: 'password_changed', user_id: 'u1' },
    ],
  )
})

t.test('without WEBHOOK_URL no row is written, and what happened before is not delivered', async (t) => {
  const db = await migratedDatabase(t)
  const before = await testApp(t, { db: keptOpen(db) })
  await signUp(before, 'alice')
  t.same(await countDeliveries(db), { waiting: 0, failed: 0 })
  await before.close()
  const { url, received, has } = await webhookReceiver(t)
  const app = await testApp(t, { db, env: envOf(url) })
  await note(app, 1)
  app.webhookWorker?.wake()
  await has(1)
  await app.webhookWorker?.settled()
  t.match(
    received.map(({ body }) => JSON.parse(body)),
    [{ type: 'login' }],
  )
})

t.test(
  'what is not accepted comes again, the first time within 15 seconds, and no redirect is followed',
  async (t) => {
    const lines: string[] = []
    const { url, received, state, has } = await webhookReceiver(t)
    const elsewhere = await webhookReceiver(t)
    state.answer = (response) => response.writeHead(307, { location: elsewhere.url }).end()
    const app = await testApp(t, {
      env: { ...envOf(url), LOG_LEVEL: 'info' },
      log: (line) => lines.push(line),
    })
    await note(app, 1)
    await has(1)
    await app.webhookWorker?.settled()
    t.equal(elsewhere.received.length, 0)
    const { next, last_error } = await app.db
      .selectFrom('webhook_deliveries')
      .select(['last_error', sql<number>`extract(epoch from next_attempt_at - now())::float8`.as('next')])
      .executeTakeFirstOrThrow()
    t.equal(last_error, 'the answer is 307')
    t.ok(next > 1 && next < 15, `${next} s`)
    state.answer = (response) => response.writeHead(500).end()
    await has(2)
    await app.webhookWorker?.settled()
    t.equal(received[1]?.headers['webhook-id'], received[0]?.headers['webhook-id'])
    state.answer = (response) => response.writeHead(200).end('ok')
    await dueNow(app.db)
    app.webhookWorker?.wake()
    await has(3)
    await app.webhookWorker?.settled()
    t.same(await countDeliveries(app.db), { waiting: 0, failed: 0 })
    const delayed = lines.filter((line) => line.includes('webhook_delayed')).map((line) => JSON.parse(line))
    t.match(delayed, [
      { attempts: 1, reason: 'the answer is 307' },
      { attempts: 2, reason: 'the answer is 500' },
    ])
    t.notMatch(lines.join(''), /geheim/, 'the URL is in no line')
  },
)

t.test('a delivery is given up after three days, and the others are not held up', async (t) => {
  const { url, state, received, has } = await webhookReceiver(t)
  state.answer = (response, { body }) => response.writeHead(body.includes('"login"') ? 503 : 204).end()
  const app = await testApp(t, { env: envOf(url) })
  await note(app, 12)
  await note(app, 1, 'password_changed')
  await has(13)
  await app.webhookWorker?.settled()
  t.ok(received.some(({ body }) => body.includes('password_changed')))
  t.same(await countDeliveries(app.db), { waiting: 12, failed: 0 })
  await sql`update webhook_deliveries set created_at = now() - interval '73 hours', next_attempt_at = now()`.execute(
    app.db,
  )
  app.webhookWorker?.wake()
  await has(25)
  await app.webhookWorker?.settled()
  t.same(await countDeliveries(app.db), { waiting: 0, failed: 12 })
})

t.test('a restart resumes, and two workers deliver each event once', async (t) => {
  const db = await migratedDatabase(t)
  const { url, received, state, has } = await webhookReceiver(t)
  state.answer = (response) => response.destroy()
  const before = await testApp(t, { db: keptOpen(db), env: envOf(url) })
  await note(before, 30)
  before.webhookWorker?.wake()
  await has(1)
  await before.close()
  received.length = 0
  state.answer = (response) => response.writeHead(204).end()
  await dueNow(db)
  const [one, two] = [
    await testApp(t, { db: keptOpen(db), env: envOf(url) }),
    await testApp(t, { db: keptOpen(db), env: envOf(url) }),
  ]
  for (const app of [one, two]) app.webhookWorker?.wake()
  await has(30)
  for (const app of [one, two]) await app.webhookWorker?.settled()
  t.equal(received.length, 30)
  t.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 30)
})

t.test('a full outbox leaves events in the feed until there is room', async (t) => {
  const { url, received, has } = await webhookReceiver(t)
  const app = await testApp(t, { env: envOf(url) })
  await sql`insert into webhook_deliveries (event_id, type, at, next_attempt_at)
    select 'event_' || n, 'login', now(), now() + interval '1 hour' from generate_series(1, 10000) n`.execute(
    app.db,
  )
  await note(app, 1)
  app.webhookWorker?.wake()
  await app.webhookWorker?.settled()
  t.equal(received.length, 0)
  t.same(await countDeliveries(app.db), { waiting: 10_000, failed: 0 })
  await sql`delete from webhook_deliveries`.execute(app.db)
  app.webhookWorker?.wake()
  await has(1)
})

t.test('a place in the events that was lost starts over at the oldest that is kept', async (t) => {
  const lines: string[] = []
  const { url, has } = await webhookReceiver(t)
  const app = await testApp(t, { env: { ...envOf(url), LOG_LEVEL: 'warn' }, log: (line) => lines.push(line) })
  await note(app, 2)
  await has(2)
  await app.webhookWorker?.settled()
  await sql`update webhook_progress set position = '{"since":"900000000:900000000:"}'`.execute(app.db)
  app.webhookWorker?.wake()
  await has(4)
  t.match(lines.join(''), /webhook_restarted/)
})

t.test('a slow receiver, one that is away, and an endless answer', async (t) => {
  const { url, state } = await webhookReceiver(t)
  const to = { url, keys: [parseWebhookSecret(secret) as Buffer] }
  state.answer = (response) => void response.writeHead(200).write('x'.repeat(1_000_000))
  await t.resolves(postEvent(to, 'event_1', '{}'), 'the answer is not read')
  state.answer = () => {}
  await t.rejects(postEvent(to, 'event_1', '{}', 50), { name: 'NotAccepted', message: 'no answer in 0.05 s' })
  const away = { ...to, url: 'http://127.0.0.1:1/' }
  await t.rejects(postEvent(away, 'event_1', '{}'), {
    name: 'NotAccepted',
    message: /^no connection \(\w+\)$/,
  })
})

t.test('faulty variables stop the start with the name of the variable', async (t) => {
  const good = { WEBHOOK_URL: 'https://example.com/hooks?x=1', WEBHOOK_SECRET: secret }
  t.match(testConfig(good).webhook, { url: good.WEBHOOK_URL, types: undefined })
  t.equal(testConfig().webhook, undefined)
  const short = `whsec_${Buffer.alloc(16, 1).toString('base64')}`
  const wrong: [Record<string, string>, RegExp][] = [
    [{ WEBHOOK_URL: good.WEBHOOK_URL }, /^WEBHOOK_SECRET must be set when WEBHOOK_URL is$/],
    [{ WEBHOOK_SECRET: secret }, /^WEBHOOK_URL must be set when WEBHOOK_SECRET is$/],
    [{ WEBHOOK_EVENTS: 'login' }, /^WEBHOOK_URL must be set/],
    [{ ...good, WEBHOOK_URL: 'ftp://example.com' }, /^WEBHOOK_URL must be an http\(s\) URL/],
    [{ ...good, WEBHOOK_URL: 'https://user:geheim@example.com' }, /^WEBHOOK_URL must be an http\(s\) URL/],
    [{ ...good, WEBHOOK_SECRET: '' }, /^WEBHOOK_SECRET must be whsec_/],
    [{ ...good, WEBHOOK_SECRET: secret.slice(6) }, /^WEBHOOK_SECRET must be whsec_/],
    [{ ...good, WEBHOOK_SECRET: short }, /^WEBHOOK_SECRET must be whsec_/],
    [{ ...good, WEBHOOK_SECRET: `${secret} ` }, /^WEBHOOK_SECRET must be whsec_/],
    [{ ...good, WEBHOOK_SECRET_PREVIOUS: 'geheim' }, /^WEBHOOK_SECRET_PREVIOUS must be whsec_/],
    [{ ...good, WEBHOOK_EVENTS: 'login,logins' }, /^WEBHOOK_EVENTS must be a comma-separated list/],
    [{ ...good, WEBHOOK_EVENTS: ',' }, /^WEBHOOK_EVENTS must be/],
  ]
  for (const [env, message] of wrong) {
    t.throws(() => testConfig(env), { name: 'ConfigError', message }, JSON.stringify(env))
    t.throws(() => testConfig(env), { message: /^(?!.*geheim)/s })
  }
})
