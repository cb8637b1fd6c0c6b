import { deepStrictEqual, ok } from 'node:assert'
import { randomBytes } from 'node:crypto'
import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import { cleanUp } from '../../src/clean-up/clean-up.ts'
import { insertImported } from '../../src/import/repository.ts'
import type { CanonicalEmail } from '../../src/users/email.ts'
import { ask, foreignToken, type Person, password, type Request } from './instances.ts'

/** Two instances on the database, and two people. */
export interface Ground {
  readonly one: FastifyInstance
  readonly two: FastifyInstance
  readonly alice: Person
  readonly bob: Person
}

type Step = (ground: Ground) => Promise<void>

const is = (expected: unknown) => (actual: unknown) => deepStrictEqual(actual, expected)

async function statusOf(
  app: FastifyInstance,
  expected: number,
  method: string,
  url: string,
  request: Request = {},
) {
  const answer = await ask(app, method, url, request)
  ok(
    answer.status === expected,
    `${method} ${url}: ${answer.status}, not ${expected}: ${JSON.stringify(answer.body)}`,
  )
  return answer
}

/** What each reader of docs/scale.md relies on, in order. */
export const steps: Record<string, Step> = {
  'a taken address is refused, of 8 signups at once one succeeds': async ({ one, two, alice }) => {
    const body = { email: alice.email, password, name: 'x' }
    await statusOf(two, 400, 'POST', '/api/auth/signup', { body })
    const email = `x-${alice.email}`
    const answers = await Promise.all(
      Array.from({ length: 8 }, (_, at) =>
        ask(at % 2 ? one : two, 'POST', '/api/auth/signup', { body: { ...body, email } }),
      ),
    )
    is(1)(answers.filter(({ status }) => status === 201).length)
    ok(answers.every(({ status }) => status === 201 || status === 400))
  },

  'tasks are created, listed in pages, read and changed on their version': async ({
    one,
    two,
    alice,
    bob,
  }) => {
    const { token, tasks } = alice
    for (const title of ['a', 'b', 'c']) await statusOf(one, 201, 'POST', tasks, { token, body: { title } })
    const page = await statusOf(two, 200, 'GET', `${tasks}?limit=2`, { token })
    is(2)(page.body.length)
    const [, next = ''] = /<([^>]+)>/.exec(String(page.headers['link'])) ?? []
    is(1)((await statusOf(one, 200, 'GET', next, { token })).body.length)
    is(3)((await statusOf(one, 200, 'GET', `${tasks}?completed=false`, { token })).body.length)
    const task = `${tasks}/${page.body[0].id}`
    const { etag } = (await statusOf(two, 200, 'GET', task, { token })).headers
    const change = { token, headers: { 'if-match': String(etag) }, body: { completed: true } }
    await statusOf(one, 200, 'PATCH', task, change)
    await statusOf(two, 412, 'PATCH', task, change)
    await statusOf(two, 403, 'GET', task, { token: bob.token })
    await statusOf(two, 404, 'GET', `${bob.tasks}/${page.body[0].id}`, { token: bob.token })
    await statusOf(two, 204, 'DELETE', task, { token })
  },

  'of 8 creations with one key at once one creates, and a key that has run out is new': async ({
    one,
    two,
    alice,
  }) => {
    const { id, token, tasks } = alice
    const create = (app: FastifyInstance, title = 'keyed') =>
      ask(app, 'POST', tasks, {
        token,
        body: { title },
        headers: { 'idempotency-key': 'c0ffee00-0000-4000-8000-000000000000' },
      })
    const first = await create(one)
    const again = await Promise.all(Array.from({ length: 8 }, (_, at) => create(at % 2 ? one : two)))
    for (const { status, body } of again) is([201, first.body.id])([status, body.id])
    is(422)((await create(two, 'other')).status)
    await sql`update idempotency_keys set created_at = now() - interval '25 hours' where user_id = ${id}`.execute(
      one.db,
    )
    const later = await create(two)
    ok(later.status === 201 && later.body.id !== first.body.id)
  },

  'of 16 refreshes at once one rotates the session': async ({ one, two, alice }) => {
    const body = { refresh_token: alice.refreshToken }
    const answers = await Promise.all(
      Array.from({ length: 16 }, (_, at) => ask(at % 2 ? one : two, 'POST', '/api/auth/refresh', { body })),
    )
    is([200])([...new Set(answers.map(({ status }) => status))])
    is(1)(new Set(answers.map(({ body }) => body.refresh_token)).size)
  },

  'a logout reaches the other instance within a second': async ({ one, two, alice }) => {
    const login = { body: { email: alice.email, password } }
    const { token } = (await statusOf(one, 200, 'POST', '/api/auth/login', login)).body
    await statusOf(two, 200, 'GET', alice.tasks, { token })
    await statusOf(one, 204, 'POST', '/api/auth/logout', { token, body: {} })
    await delay(1_000)
    await statusOf(two, 401, 'GET', alice.tasks, { token })
  },

  'an API key, a set-up second factor and a new password, with their notices': async ({ one, two, bob }) => {
    const { id, token } = bob
    await sql`update users set email_verified = true where id = ${id}`.execute(one.db)
    const body = { name: 'check', scopes: ['tasks:read'], expires_in_days: 1 }
    const { key } = (await statusOf(one, 201, 'POST', '/api/auth/keys', { token, body })).body
    await statusOf(two, 200, 'GET', bob.tasks, { token: key })
    for (const app of [one, two])
      await statusOf(app, 200, 'POST', '/api/auth/mfa/totp', { token, body: { password } })
    await statusOf(two, 204, 'PUT', '/api/auth/password', {
      token,
      body: { current_password: password, new_password: `${password}!` },
    })
    const { rows } = await sql<{ mails: number }>`
      select count(*)::int as mails from mail_outbox where user_id = ${id} and kind in ('api_key_created', 'password_changed')`.execute(
      one.db,
    )
    is([{ mails: 2 }])(rows)
  },

  'a file of users is imported twice': async ({ one }) => {
    const users = Array.from({ length: 100 }, (_, at) => ({
      id: undefined,
      email: `import-${at}-${randomBytes(4).toString('hex')}@check-distributed.invalid` as CanonicalEmail,
      name: 'Check',
      passwordHash: null,
      emailVerified: true,
      createdAt: undefined,
    }))
    is(['imported'])([...new Set(await insertImported(one.db, users))])
    is(['already there'])([...new Set(await insertImported(one.db, users))])
  },

  "the first request of a trusted issuer's user creates a task, and the next one finds it": async ({
    one,
    two,
  }) => {
    const sub = `check-${randomBytes(8).toString('hex')}`
    const token = foreignToken(sub)
    await statusOf(one, 201, 'POST', `/api/${sub}/tasks`, { token, body: { title: 'foreign' } })
    is(1)((await statusOf(two, 200, 'GET', `/api/${sub}/tasks`, { token })).body.length)
    await sql`delete from users where subject = ${sub}`.execute(one.db)
  },

  'the clean-up deletes what has run out, on two instances at once': async ({ one, two, alice }) => {
    await sql`insert into idempotency_keys (user_id, operation, key_mac, body_mac, created_at)
      select ${alice.id}, 'check', int4send(n), '', now() - interval '2 days' from generate_series(1, 6000) n`.execute(
      one.db,
    )
    await Promise.all([cleanUp(one.db), cleanUp(two.db)])
    const { rows } =
      await sql`select count(*)::int as count from idempotency_keys where operation = 'check'`.execute(one.db)
    is([{ count: 0 }])(rows)
  },

  'a read and a page are one task on one node': async ({ one, alice }) => {
    for (const statement of [
      sql`select * from tasks where user_id = ${sql.lit(alice.id)} and id = 1`,
      sql`select * from tasks where user_id = ${sql.lit(alice.id)} and id > 0 order by id limit 51`,
    ]) {
      const { rows } = await sql`explain (costs off) ${statement}`.execute(one.db)
      ok(/Task Count: 1"/.test(JSON.stringify(rows)), JSON.stringify(rows))
    }
  },

  "a deleted account leaves no task, key or token, and another's tasks stay": async ({
    one,
    two,
    alice,
    bob,
  }) => {
    const { id, token } = alice
    const { body: others } = await statusOf(one, 200, 'GET', alice.tasks, { token })
    ok(others.length > 0)
    const { body: exported } = await statusOf(two, 200, 'GET', '/api/auth/me/export', { token })
    ok(String(exported).includes('"title":"keyed"'), 'the export has the tasks')
    await statusOf(one, 204, 'POST', '/api/auth/me/delete', { token, body: { password } })
    await delay(1_000)
    await statusOf(two, 401, 'POST', alice.tasks, { token, body: { title: 'late' } })
    const { rows } = await sql`select (select count(*) from tasks where user_id = ${id})::int as tasks,
      (select count(*) from idempotency_keys where user_id = ${id})::int as keys`.execute(one.db)
    is([{ tasks: 0, keys: 0 }])(rows)
    const late = await sql`insert into tasks (user_id, title) values (${id}, 'late')`.execute(two.db).then(
      () => '',
      (error) => error.code,
    )
    is('23503')(late)
    const login = { body: { email: bob.email, password: `${password}!` } }
    await statusOf(two, 200, 'POST', '/api/auth/login', login)
  },
}
