import { join } from 'node:path'
import { sql } from 'kysely'
import pg from 'pg'
import t, { type Test } from 'tap'
import { buildApp } from '../../../src/app.ts'
import { eventDays, eventsOfKind } from '../../../src/clean-up/clean-up.ts'
import { openEmbedded } from '../../../src/db/embedded.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { sealKeys } from '../../../src/event-seals/seal.ts'
import { sealEvents } from '../../../src/event-seals/sealing.ts'
import { verifySeals } from '../../../src/event-seals/verification.ts'
import { secret, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { startService } from '../../support/process.ts'
import { server } from '../../support/production.ts'
import { signUpAt } from '../../support/remote-user.ts'
import { basic, serviceClients } from '../../support/service-client.ts'
import { seedDataFolder } from '../../support/snapshot.ts'
import { webhookReceiver } from '../../support/webhook-receiver.ts'

const webhookSecret = `whsec_${Buffer.alloc(32, 1).toString('base64')}`

/** Two instances on one database, and plain connections as of psql. */
async function instances(t: Test, env: Record<string, string> = {}) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({ DATABASE_URL: url, ...serviceClients({ reader: ['events:read'] }), ...env })
  const one = async () => {
    const database = await openDatabase(config, () => {})
    await database.migrate()
    const app = await buildApp(config, database)
    await app.ready()
    t.teardown(() => app.close())
    return app
  }
  const apps = [await one(), await one()] as const
  const connect = async () => {
    const client = new pg.Client({ connectionString: url })
    await client.connect()
    t.teardown(() => client.end().catch(() => {}))
    return client
  }
  return { apps, connect }
}

type Apps = Awaited<ReturnType<typeof instances>>['apps']

async function read(app: Apps[0], query: Record<string, string>) {
  const url = `/api/events?${new URLSearchParams(query)}`
  const answer = await app.inject({ url, headers: { authorization: basic('reader') } })
  const { cursor, events } = answer.json<{ cursor: string; events: { user_id: string }[] }>()
  return { cursor, users: events.map(({ user_id }) => user_id) }
}

const note = "insert into security_events (event, user_id) values ('login', $1)"

t.test(
  'an event that commits late is read and delivered when it does, and no transaction holds it up',
  async (t) => {
    const { url, received, has } = await webhookReceiver(t)
    const { apps, connect } = await instances(t, { WEBHOOK_URL: url, WEBHOOK_SECRET: webhookSecret })
    const [one, two] = apps
    const [late, other, foreign] = [await connect(), await connect(), await connect()]
    // A long transaction of another application.
    await foreign.query('begin; create table not_ours (id int)')
    await late.query('begin')
    await late.query(note, ['late'])
    const start = await read(one, {})
    const waiting = read(two, { after: start.cursor, wait: '30' })
    while (two.eventArrivals.readers.count === 0) await new Promise(setImmediate)
    await other.query(note, ['early'])
    const first = await waiting
    t.same(first.users, ['early'], 'from the other instance, with its cursor')
    const next = read(one, { after: first.cursor, wait: '30' })
    await late.query('commit')
    const second = await next
    t.same(second.users, ['late'])
    t.same((await read(two, { after: second.cursor })).users, [])
    await has(2)
    for (const app of apps) await app.webhookWorker?.settled()
    t.same(
      received.map(({ body }) => JSON.parse(body).user_id).sort(),
      ['early', 'late'],
      'by one of two instances each',
    )
    await foreign.query('rollback')
  },
)

t.test('two instances deliver each event once, and seal one chain', async (t) => {
  const { url, received, has } = await webhookReceiver(t)
  const { apps, connect } = await instances(t, { WEBHOOK_URL: url, WEBHOOK_SECRET: webhookSecret })
  const client = await connect()
  const keys = sealKeys(secret, undefined)
  for (let turn = 0; turn < 10; turn++) {
    await client.query(
      "insert into security_events (event, user_id) select 'login', 'u' || n from generate_series(1, 20) n",
    )
    await Promise.all([...apps, ...apps].map(({ db }) => sealEvents(db, keys)))
  }
  const faults: string[] = []
  const kept = { days: eventDays, ofKind: eventsOfKind }
  const { seals, events } = await verifySeals({
    db: apps[0].db,
    keys,
    last: undefined,
    kept,
    onFault: (fault) => faults.push(fault),
  })
  t.same(faults, [])
  t.equal(events, 200)
  t.ok(seals <= 10, `${seals} seals`)
  await has(200)
  for (const app of apps) await app.webhookWorker?.settled()
  t.equal(received.length, 200)
  t.equal(new Set(received.map(({ headers }) => headers['webhook-id'])).size, 200)
})

t.test('a killed process delivers after its restart what was not accepted', async (t) => {
  const { url, received, state, has } = await webhookReceiver(t)
  state.answer = () => {}
  const cwd = t.testdir()
  seedDataFolder(join(cwd, 'data'))
  const env = { WEBHOOK_URL: url, WEBHOOK_SECRET: webhookSecret, MAX_EVENT_LOOP_DELAY_MS: '0' }
  const before = await startService(t, env, cwd)
  await signUpAt(before.url)
  await has(2)
  await before.stop('SIGKILL')
  const ids = new Set(received.splice(0).map(({ headers }) => headers['webhook-id']))
  // As after the lease.
  const db = await openEmbedded(join(cwd, 'data'), () => {})
  await sql`update webhook_deliveries set next_attempt_at = now()`.execute(db)
  await db.destroy()
  state.answer = (response) => response.writeHead(204).end()
  const after = await startService(t, env, cwd)
  await has(2)
  await after.stop('SIGKILL')
  t.same(new Set(received.map(({ headers }) => headers['webhook-id'])), ids)
})
