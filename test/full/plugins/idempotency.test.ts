import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { cleanUp } from '../../../src/clean-up/clean-up.ts'
import { password, problemOf, signUp, type TestUser, testApp, twoUsers } from '../../helper.ts'
import { operations } from '../../support/contract-file.ts'
import { exampleOfResource, otherExampleOf, servedResources } from '../../support/examples.ts'
import { comparable, mailTo, post, recordingApp, tokenTo } from '../../support/mailbox.ts'

const reused = { status: 422, code: 'idempotency_key_reused' }
const inProgress = { status: 409, code: 'idempotency_in_progress' }
const taken = { status: 400, code: 'email_already_registered' }
const many = Array.from({ length: 20 }, (_, at) => at)

const withKey = (key: string) => ({ headers: { 'idempotency-key': key } })
const create = (user: TestUser, key: string, body: object) =>
  user.call('POST', user.tasks, body, withKey(key))
const titlesOf = async (user: TestUser) =>
  (await user.call('GET', user.tasks)).json().map(({ title }: { title: string }) => title)

/** The parts of a response that must be the same. */
const outcome = ({ statusCode, headers: { etag, location }, body }: LightMyRequestResponse) => ({
  statusCode,
  etag,
  location,
  body,
})

/** The statements of a request. */
async function statementsOf(statements: readonly string[], send: () => Promise<unknown>): Promise<string[]> {
  const before = statements.length
  await send()
  return statements.slice(before)
}

/** Ages all keys, since the database's clock cannot be set. */
async function age({ db }: FastifyInstance, interval: string): Promise<void> {
  await sql`update idempotency_keys set created_at = created_at - ${interval}::interval`.execute(db)
}

const kept = ({ db }: FastifyInstance) => db.selectFrom('idempotency_keys').selectAll().execute()

t.test('tasks', async (t) => {
  const { app, alice, bob } = await twoUsers(t)

  await t.test('the same key and body creates one task, and returns the first response', async (t) => {
    const milk = { title: 'Buy milk', description: 'Two litres' }
    const first = await create(alice, '"milk"', milk)
    t.equal(first.statusCode, 201)
    const { id } = first.json()
    t.same(outcome(await create(alice, '"milk"', milk)), outcome(first))
    t.same(outcome(await create(alice, 'milk', milk)), outcome(first), 'quotes are not part of the key')
    const turned = { description: 'Two litres', title: 'Buy milk' }
    t.same(outcome(await create(alice, 'milk', turned)), outcome(first), 'member order is irrelevant')
    t.same(await titlesOf(alice), ['Buy milk'])

    await alice.call('PATCH', `${alice.tasks}/${id}`, { completed: true })
    t.same(outcome(await create(alice, 'milk', milk)), outcome(first), 'after a change of the task')
    await alice.call('DELETE', `${alice.tasks}/${id}`)
    t.same(outcome(await create(alice, 'milk', milk)), outcome(first), 'after its deletion')
    t.same(await titlesOf(alice), [])
  })

  await t.test('another body with the same key is refused, and changes nothing', async (t) => {
    await create(alice, 'bread', { title: 'Buy bread' })
    for (const body of [{ title: 'Buy eggs' }, { title: 'Buy bread', completed: false }]) {
      t.match(problemOf(await create(alice, 'bread', body)), reused)
    }
    t.same(await titlesOf(alice), ['Buy bread'])
  })

  await t.test('the same key of two users is two keys', async (t) => {
    const ofAlice = await create(alice, 'shared', { title: "Alice's" })
    const ofBob = await create(bob, 'shared', { title: "Bob's" })
    t.same([ofAlice.statusCode, ofBob.statusCode], [201, 201])
    t.match((await create(bob, 'shared', { title: "Bob's" })).json(), { title: "Bob's", user_id: bob.id })
    const stranger = await bob.call('POST', alice.tasks, { title: "Alice's" }, withKey('shared'))
    t.match(problemOf(stranger), { status: 403, code: 'not_owner' }, 'ownership is checked first')
    t.same(await titlesOf(bob), ["Bob's"])
  })

  await t.test('of 20 concurrent requests, one creates the task', async (t) => {
    const answers = await Promise.all(many.map(() => create(alice, 'at-once', { title: 'Once' })))
    const made = answers.filter(({ statusCode }) => statusCode === 201)
    t.equal(new Set(made.map(({ body }) => body)).size, 1)
    for (const answer of answers.filter(({ statusCode }) => statusCode !== 201)) {
      t.match(problemOf(answer), inProgress)
      t.equal(answer.headers['retry-after'], '1')
    }
    t.equal((await titlesOf(alice)).filter((title: string) => title === 'Once').length, 1)
    t.same(
      outcome(await create(alice, 'at-once', { title: 'Once' })),
      outcome(made[0] as LightMyRequestResponse),
    )
  })

  await t.test('a malformed key is refused before anything is done', async (t) => {
    const before = await titlesOf(alice)
    for (const key of ['', ' ', '""', 'two words', '"a", "b"', 'x'.repeat(256), 'a\tb', '"a', 'ü']) {
      t.match(problemOf(await create(alice, key, { title: 'x' })), {
        status: 400,
        code: 'validation_failed',
        errors: [{ path: 'idempotency-key' }],
      })
    }
    t.same(await titlesOf(alice), before)
  })

  await t.test('a refused request does not use up its key', async (t) => {
    t.match(problemOf(await create(alice, 'later', { title: '' })), { status: 400 })
    const anonymous = {
      method: 'POST',
      url: alice.tasks,
      payload: { title: 'x' },
      ...withKey('later'),
    } as const
    t.equal((await app.inject(anonymous)).statusCode, 401)
    t.equal((await create(alice, 'later', { title: 'Later' })).statusCode, 201)
  })

  await t.test('after 24 hours the key can be used again, before the clean-up and after it', async (t) => {
    const before = await titlesOf(alice)
    await create(alice, 'day', { title: 'Day' })
    await age(app, '23 hours 59 minutes')
    await cleanUp(app.db)
    t.match(problemOf(await create(alice, 'day', { title: 'Another day' })), reused)
    await age(app, '1 minute')
    const next = await create(alice, 'day', { title: 'Another day' })
    t.same(outcome(await create(alice, 'day', { title: 'Another day' })), outcome(next))
    t.same(await titlesOf(alice), [...before, 'Day', 'Another day'])
    await age(app, '24 hours')
    await cleanUp(app.db)
    t.same(await kept(app), [])
  })

  await t.test('a failed request stores no key, and a deleted account keeps none', async (t) => {
    const carol = await signUp(app, 'carol')
    await create(carol, 'x', { title: 'x' })
    t.equal((await kept(app)).length, 1)
    await app.db.deleteFrom('users').where('id', '=', carol.id).execute()
    t.same(await kept(app), [])
    t.equal((await create(carol, 'x', { title: 'x' })).statusCode, 401)
    t.same(await kept(app), [])
  })

  await t.test('a request without the header causes no query for it', async (t) => {
    const { app, statements } = await recordingApp(t)
    const dave = await signUp(app, 'dave')
    await app.mailWorker?.stop(5_000)
    const asked = await statementsOf(statements, () => dave.call('POST', dave.tasks, { title: 'x' }))
    t.equal(asked.length, 1)
  })
})

t.test('every operation with the header has one effect for two requests', async (t) => {
  const { app, alice } = await twoUsers(t)
  const account = { email: 'once@example.com', password, name: 'Once' }
  const bodies: Record<string, [object, other: object]> = {
    signUp: [account, { ...account, name: 'Other' }],
    ...Object.fromEntries(
      servedResources.map((resource) => [
        `create${resource.types.one}`,
        [exampleOfResource(resource), otherExampleOf(resource)],
      ]),
    ),
  }
  const rows = operations().filter(({ operation }) =>
    JSON.stringify(operation.parameters ?? []).includes('"idempotency-key"'),
  )
  t.same(rows.map(({ operation }) => operation.operationId).sort(), Object.keys(bodies).sort())
  for (const { method, path, operation } of rows) {
    const url = path.replace('{user_id}', alice.id)
    const [body, other] = bodies[operation.operationId ?? ''] ?? []
    const send = (body?: object) => alice.call(method, url, body, withKey('the-same'))
    const [first, second] = [await send(body), await send(body)]
    t.same([first.statusCode, second.statusCode], [201, 201], path)
    t.match(problemOf(await send(other)), reused)
  }
  for (const { name } of servedResources)
    t.equal((await alice.call('GET', `/api/${alice.id}/${name}`)).json().length, 1, name)
  t.equal((await app.db.selectFrom('users').select('id').execute()).length, 3)
})

t.test('config.idempotent without an operationId stops the start', async (t) => {
  const extend = (app: FastifyInstance) => {
    app.post('/x', { config: { access: 'public', idempotent: true } }, async () => 'ok')
  }
  await t.rejects(testApp(t, { extend }), { message: '/x: config.idempotent needs schema.operationId' })
})

const signUpWith = (app: FastifyInstance, key: string, payload: object) =>
  app.inject({ method: 'POST', url: '/api/auth/signup', payload, ...withKey(key) })

t.test('signup', async (t) => {
  const log: string[] = []
  const app = await testApp(t, { log: (line) => log.push(line), env: { LOG_LEVEL: 'trace' } })
  const eve = { email: 'eve@example.com', password: 'canary horse battery', name: 'Eve' }
  const first = await signUpWith(app, 'canary-key', eve)
  t.equal(first.statusCode, 201)

  await t.test(
    'a retry of a signup whose response was lost opens a session of the account that it created',
    async (t) => {
      const again = await signUpWith(app, '"canary-key"', eve)
      t.equal(again.statusCode, 201)
      t.same(again.json().user, first.json().user)
      t.not(again.json().refresh_token, first.json().refresh_token)
      for (const { token } of [first.json(), again.json()]) {
        const me = await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })
        t.equal(me.statusCode, 200)
      }
      t.match(problemOf(await signUpWith(app, 'another', eve)), taken)
      t.match(problemOf(await post(app, 'signup', eve)), taken, 'unchanged without the key')
      t.equal((await mailTo(app, eve.email)).length, 1)
    },
  )

  await t.test('the key is no credential: another password or name is another request', async (t) => {
    for (const changes of [
      { password: 'not the password' },
      { name: 'Mallory' },
      { email: 'EVE@example.com' },
    ]) {
      const answer = await signUpWith(app, 'canary-key', { ...eve, ...changes })
      t.match(problemOf(answer), reused, JSON.stringify(changes))
    }
  })

  await t.test('a key belongs to one address', async (t) => {
    const mallory = await signUpWith(app, 'canary-key', { ...eve, email: 'mallory@example.com' })
    t.equal(mallory.statusCode, 201)
    t.not(mallory.json().user.id, first.json().user.id)
  })

  await t.test('of 20 concurrent requests, one creates the account', async (t) => {
    const frank = { ...eve, email: 'frank@example.com' }
    const answers = await Promise.all(many.map(() => signUpWith(app, 'frank', frank)))
    const ids = answers.filter((answer) => answer.statusCode === 201).map((answer) => answer.json().user.id)
    t.equal(new Set(ids).size, 1)
    for (const answer of answers.filter(({ statusCode }) => statusCode !== 201))
      t.match(problemOf(answer), inProgress)
    t.equal((await mailTo(app, frank.email)).length, 1)
  })

  await t.test(
    'the stored row reveals no key, body or password, and allows no offline guesses of one',
    async (t) => {
      const [row] = await app.db
        .selectFrom('idempotency_keys')
        .selectAll()
        .where('user_id', '=', first.json().user.id)
        .execute()
      t.same(Object.keys(row ?? {}).sort(), [
        'body_mac',
        'created_at',
        'key_mac',
        'operation',
        'outcome',
        'user_id',
      ])
      t.equal(row?.outcome, null)
      t.same([row?.key_mac.length, row?.body_mac.length], [32, 32])
      const before = (await kept(app)).find(({ user_id }) => user_id === first.json().user.id)
      await signUpWith(app, 'gina', { ...eve, email: 'gina@example.com' })
      const { rows } = await sql<{
        text: string
      }>`select idempotency_keys::text as text from idempotency_keys`.execute(app.db)
      t.notMatch(JSON.stringify(rows), /canary|eve@|Eve/)
      t.same(before, row)
      t.notMatch(log.join('\n'), /canary/)
    },
  )

  await t.test('the stored row does not depend on the password', async (t) => {
    const macs = []
    for (const given of ['the first password', 'the second password']) {
      const { json } = await signUpWith(app, 'hal', { ...eve, email: 'hal@example.com', password: given })
      const { id } = json().user
      const row = (await kept(app)).find(({ user_id }) => user_id === id)
      macs.push(Buffer.from(row?.body_mac ?? []).toString('hex'))
      await app.db.deleteFrom('users').where('id', '=', id).execute()
    }
    t.equal(macs[0]?.length, 64)
    t.equal(macs[0], macs[1])
  })

  await t.test('after 24 hours a repeated signup gets email_already_registered', async (t) => {
    await age(app, '24 hours')
    t.match(problemOf(await signUpWith(app, 'canary-key', eve)), taken)
  })
})

t.test('password guesses in repeated signups count like failed logins', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_SIGNUP: '1000/1m' } })
  const eve = { email: 'eve@example.com', password, name: 'Eve' }
  await signUpWith(app, 'k', eve)
  const statuses = []
  for (let guess = 0; guess < 12; guess++) {
    statuses.push((await signUpWith(app, 'k', { ...eve, password: `guess number ${guess}` })).statusCode)
  }
  t.equal(statuses[0], 422)
  t.equal(statuses.at(-1), 429)
})

t.test('with verification required, the key does not reveal an account', async (t) => {
  const { app, statements } = await recordingApp(t, { env: { REQUIRE_EMAIL_VERIFICATION: 'true' } })
  const eve = { email: 'eve@example.com', password, name: 'Eve' }
  const first = comparable(await signUpWith(app, 'k', eve))
  t.equal(first.statusCode, 202)
  const same = async (t: Test, key: string, body: object) =>
    t.same(comparable(await signUpWith(app, key, body)), first)
  const mails = async () => (await mailTo(app, eve.email)).length

  await same(t, 'k', eve)
  t.equal(await mails(), 1, 'a repetition sends no mail')
  await Promise.all(many.map(() => same(t, 'k', eve)))
  t.equal(await mails(), 1)

  const token = await tokenTo(app, eve.email)
  t.equal((await post(app, 'email/verify', { token })).statusCode, 204)
  await same(t, 'k', eve)
  t.equal(await mails(), 1, 'nor after the verification')
  t.equal((await post(app, 'login', { email: eve.email, password })).statusCode, 200)

  await same(t, 'k', { ...eve, name: 'Mallory' })
  t.equal(await mails(), 2, 'another body is another signup')
  await same(t, 'other', { ...eve, password: 'the password of another' })
  t.equal(await mails(), 3)

  await app.mailWorker?.stop(5_000)
  const countOf = async (body: object) =>
    (await statementsOf(statements, () => same(t, 'count', body))).length
  await sql`delete from mail_outbox`.execute(app.db)
  t.equal(await countOf(eve), await countOf({ ...eve, email: 'new@example.com' }), 'as many statements (C02)')
})

t.test('a user has at most 10,000 keys, and a request past the quota changes nothing', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await sql`insert into idempotency_keys (user_id, operation, key_mac, body_mac)
    select ${alice.id}, 'createTask', int4send(i), '' from generate_series(1, 9999) i`.execute(app.db)
  t.equal((await create(alice, 'last', { title: 'last' })).statusCode, 201)
  const refused = await create(alice, 'one-too-many', { title: 'refused' })
  t.match(problemOf(refused), { status: 429, code: 'rate_limited' })
  t.match(refused.headers['retry-after'], /^\d+$/)
  t.equal((await create(alice, 'last', { title: 'last' })).statusCode, 201, 'a known key is answered')
  t.equal((await create(bob, 'first', { title: 'x' })).statusCode, 201)
  t.equal((await alice.call('POST', alice.tasks, { title: 'without a key' })).statusCode, 201)
  t.same(await titlesOf(alice), ['last', 'without a key'])

  await age(app, '24 hours')
  await cleanUp(app.db)
  t.equal((await create(alice, 'one-too-many', { title: 'x' })).statusCode, 201)
})
