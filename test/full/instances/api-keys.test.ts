import { setImmediate } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { endPresentedKey } from '../../../src/api-keys/ending.ts'
import { buildApp } from '../../../src/app.ts'
import { openDatabase } from '../../../src/db/open.ts'
import { password, signUp, type TestUser, testConfig } from '../../helper.ts'
import { freshDatabase } from '../../support/postgres.ts'
import { server } from '../../support/production.ts'

const wanted = { name: 'Nightly export', scopes: ['tasks:read'], expires_in_days: 365 }

async function instances(t: Test) {
  const { url } = await freshDatabase(t, server)
  const config = testConfig({ DATABASE_URL: url })
  const start = async () => {
    const { db, listen, migrate } = await openDatabase(config, () => {})
    await migrate()
    const app = await buildApp(config, { db, listen })
    await app.ready()
    t.teardown(() => app.close())
    return app
  }
  return { one: await start(), two: await start() }
}

const read = async (app: FastifyInstance, key: string, { tasks }: TestUser) =>
  (await app.inject({ url: tasks, headers: { authorization: `Bearer ${key}` } })).statusCode

const post = (app: FastifyInstance, url: string, payload: object, token: string) =>
  app.inject({ method: 'POST', url, payload, headers: { authorization: `Bearer ${token}` } })

const newKey = async (app: FastifyInstance, token: string): Promise<{ id: string; key: string }> =>
  (await post(app, '/api/auth/keys', wanted, token)).json()

/** Milliseconds until the answer is `status`. */
async function until(status: number, ask: () => Promise<number>): Promise<number> {
  const start = performance.now()
  while ((await ask()) !== status) {
    if (performance.now() - start > 5_000) throw new Error(`no ${status} within 5 s`)
    await setImmediate()
  }
  return performance.now() - start
}

t.test('of 60 new keys at once on two instances, 20 are made', async (t) => {
  const { one, two } = await instances(t)
  const [alice, bob] = [await signUp(one, 'alice'), await signUp(one, 'bob')]
  const answers = await Promise.all(
    Array.from({ length: 60 }, (_, at) => post(at % 2 ? one : two, '/api/auth/keys', wanted, alice.token)),
  )
  const statuses = answers.map(({ statusCode }) => statusCode)
  t.equal(statuses.filter((status) => status === 201).length, 20)
  t.equal(statuses.filter((status) => status === 409).length, 40)
  const { rows } = await sql`select user_id from api_keys`.execute(one.db)
  t.same(rows, Array(20).fill({ user_id: alice.id }))
  t.equal((await post(two, '/api/auth/keys', wanted, bob.token)).statusCode, 201)
})

t.test('a key that ends is a 401 on the other instance within a second', async (t) => {
  const { one, two } = await instances(t)
  const alice = await signUp(one, 'alice')
  const bob = await signUp(one, 'bob')
  const ofBob = await newKey(one, bob.token)
  const ends: Record<string, (made: { id: string; key: string }) => Promise<unknown>> = {
    'by its owner': ({ id }) => alice.call('DELETE', `/api/auth/keys/${id}`),
    'by itself': ({ key }) => endPresentedKey(one, key, '192.0.2.7'),
    "by the operator's SQL": ({ id }) => sql`delete from api_keys where id = ${id}`.execute(one.db),
    'with the password': () =>
      alice.call('PUT', '/api/auth/password', {
        current_password: password,
        new_password: `${password}!`,
        end_keys: true,
      }),
    'with the account': () => alice.call('POST', '/api/auth/me/delete', { password: `${password}!` }),
  }
  for (const [name, end] of Object.entries(ends)) {
    const made = await newKey(one, alice.token)
    t.equal(await read(two, made.key, alice), 200, name)
    await end(made)
    const took = await until(401, () => read(two, made.key, alice))
    t.ok(took < 1_000, `${name}: ${Math.round(took)} ms`)
    t.equal(await read(one, made.key, alice), 401, name)
  }
  t.equal(await read(two, ofBob.key, bob), 200)
  const rows = await one.db
    .selectFrom('revocations')
    .select('key_id')
    .where('key_id', 'is not', null)
    .execute()
  t.equal(rows.length, Object.keys(ends).length, 'one row for each')
})

t.test('a session that is being ended makes no key', async (t) => {
  const { one, two } = await instances(t)
  const alice = await signUp(one, 'alice')
  for (let round = 0; round < 10; round++) {
    const { token } = (
      await one.inject({
        method: 'POST',
        url: '/api/auth/login',
        payload: { email: alice.email, password },
      })
    ).json()
    const [made, out] = await Promise.all([
      post(one, '/api/auth/keys', wanted, token),
      post(two, '/api/auth/logout', {}, token),
    ])
    t.equal(out.statusCode, 204)
    t.ok([201, 401].includes(made.statusCode), `${made.statusCode}`)
    t.equal((await post(two, '/api/auth/keys', wanted, token)).statusCode, 401)
  }
})

t.test('instances write last uses together, and the drain writes what is left', async (t) => {
  const { one, two } = await instances(t)
  const alice = await signUp(one, 'alice')
  const bob = await signUp(one, 'bob')
  const keys = await Promise.all(Array.from({ length: 10 }, () => newKey(one, alice.token)))
  const unused = await newKey(one, bob.token)
  for (const app of [one, two]) for (const { key } of keys) t.equal(await read(app, key, alice), 200)
  const used = async () => {
    const rows = await one.db.selectFrom('api_keys').select(['id', 'last_used_at']).execute()
    return rows.filter(({ last_used_at }) => last_used_at !== null).map(({ id }) => id)
  }
  t.same(await used(), [], 'no request writes')
  await Promise.all([two.close(), one.keyUses.flush()])
  t.same((await used()).sort(), keys.map(({ id }) => id).sort())
  t.notOk((await used()).includes(unused.id))
})
