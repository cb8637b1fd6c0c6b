import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { openPostgres } from '../../../src/db/postgres.ts'
import type { Db } from '../../../src/db/schema.ts'
import { ask, post, startService } from '../../support/process.ts'
import { production } from '../../support/production.ts'

const credentials = { email: 'test@example.com', password: 'correct horse battery' }
const milk = { title: 'Buy milk' }

async function setting(t: Test) {
  const env = await production(t, { RATE_LIMITS: 'off' })
  const db = openPostgres({ url: env['DATABASE_URL'] ?? '', poolSize: 2, onIdleError: () => {} })
  t.teardown(() => db.destroy())
  const start = () => startService(t, env, t.testdir())
  const service = await start()
  const signup = await post(`${service.url}/api/auth/signup`, { ...credentials, name: 'Test' })
  const { token, user } = (await signup.json()) as { token: string; user: { id: string } }
  const create = ({ url }: { url: string }, key: string, body: object = milk) =>
    ask(`${url}/api/${user.id}/tasks`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${token}`,
        'content-type': 'application/json',
        'idempotency-key': key,
      },
      body: JSON.stringify(body),
    })
  const tasks = () => db.selectFrom('tasks').select(['id', 'title']).execute()
  return { db, service, start, create, tasks }
}

/** Resolves when a statement of the service waits for a lock. */
async function untilOneWaits(db: Db): Promise<void> {
  for (;;) {
    const { rows } = await sql`select 1 from pg_stat_activity where wait_event_type = 'Lock' and
      datname = current_database()`.execute(db)
    if (rows.length > 0) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

/** Resolves when no transaction of the service is open. */
async function untilAllEnded(db: Db): Promise<void> {
  for (;;) {
    const { rows } = await sql`select 1 from pg_stat_activity where datname = current_database() and
      pid <> pg_backend_pid() and xact_start is not null`.execute(db)
    if (rows.length === 0) return
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

t.test('two instances create one task for one key', async (t) => {
  const { db, service: one, start, create, tasks } = await setting(t)
  const two = await start()

  await t.test('while one instance serves the request, the other answers 409', async (t) => {
    const held = await db.transaction().execute(async (trx) => {
      // The insert of a task waits for its user's row.
      await sql`select 1 from users for update`.execute(trx)
      const first = create(one, 'held')
      await untilOneWaits(db)
      const second = await create(two, 'held')
      t.equal(second.status, 409)
      t.equal(second.headers.get('retry-after'), '1')
      t.match(await second.json(), { code: 'idempotency_in_progress' })
      return { first }
    })
    const first = await held.first
    t.equal(first.status, 201)
    const again = await create(two, 'held')
    t.equal(again.status, 201)
    for (const name of ['location', 'etag']) t.equal(again.headers.get(name), first.headers.get(name))
    t.same(await again.json(), await first.json())
    t.equal((await create(two, 'held', { title: 'Buy eggs' })).status, 422)
    t.equal((await tasks()).length, 1)
  })

  await t.test('20 concurrent requests on both create one task, and get it or 409', async (t) => {
    for (let round = 0; round < 10; round++) {
      const answers = await Promise.all(
        Array.from({ length: 20 }, (_, at) => create(at % 2 ? one : two, `round-${round}`)),
      )
      const made = answers.filter(({ status }) => status === 201)
      t.same(
        answers.filter(({ status }) => status !== 201 && status !== 409),
        [],
      )
      const bodies = await Promise.all(made.map((answer) => answer.text()))
      t.equal(new Set(bodies).size, 1)
    }
    t.equal((await tasks()).length, 11)
  })
})

t.test('kill -9 before the commit stores nothing, and the key can be used again', async (t) => {
  const { db, service, start, create, tasks } = await setting(t)
  await db.transaction().execute(async (trx) => {
    await sql`select 1 from users for update`.execute(trx)
    const lost = create(service, 'k').catch(() => undefined)
    await untilOneWaits(db)
    await service.stop('SIGKILL')
    t.equal(await lost, undefined)
  })
  await untilAllEnded(db)
  t.same(await tasks(), [])
  const answer = await create(await start(), 'k')
  t.equal(answer.status, 201)
  t.same((await tasks()).length, 1)
})

t.test('kill -9 between commit and response: the repetition gets the stored outcome', async (t) => {
  const { db, service, start, create, tasks } = await setting(t)
  // The commit waits in the server: it succeeds although the service is killed.
  await sql`create function wait_at_commit() returns trigger language plpgsql as
    'begin perform pg_advisory_xact_lock(42); return null; end'`.execute(db)
  await sql`create constraint trigger waits after insert on tasks deferrable initially deferred
    for each row execute function wait_at_commit()`.execute(db)
  await db.transaction().execute(async (trx) => {
    await sql`select pg_advisory_xact_lock(42)`.execute(trx)
    const lost = create(service, 'k').catch(() => undefined)
    await untilOneWaits(db)
    await service.stop('SIGKILL')
    t.equal(await lost, undefined)
  })
  await untilAllEnded(db)
  const [task, ...others] = await tasks()
  t.match(task, milk)
  t.same(others, [])

  const answer = await create(await start(), 'k')
  t.equal(answer.status, 201)
  t.match(await answer.json(), task)
  t.equal((await tasks()).length, 1)
})
