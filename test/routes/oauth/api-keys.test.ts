import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { newKeyText } from '../../../src/api-keys/text.ts'
import { eventsOf, type TestUser, twoUsers } from '../../helper.ts'
import { mint } from '../../support/mint.ts'
import { basic, form, serviceClients } from '../../support/service-client.ts'

const env = serviceClients({ gateway: ['introspect', 'revocations:read'] })
const authorization = basic('gateway')

async function createKey(user: TestUser, scopes: readonly string[] = ['tasks:read']) {
  const answer = await user.call('POST', '/api/auth/keys', { name: 'CI', scopes, expires_in_days: 1 })
  if (answer.statusCode !== 201) throw new Error(answer.body)
  return answer.json<{ id: string; key: string; created_at: string; expires_at: string }>()
}

const introspect = async (app: FastifyInstance, token: string) =>
  (await app.inject(form('/oauth/introspect', { token }, { authorization }))).json()

const revoke = (app: FastifyInstance, token: string) => app.inject(form('/oauth/revoke', { token }))

const opens = async (app: FastifyInstance, key: string, { tasks }: TestUser) =>
  (await app.inject({ url: tasks, headers: { authorization: `Bearer ${key}` } })).statusCode

const feed = async (app: FastifyInstance) =>
  (await app.inject({ url: '/gateway/revocations', headers: { authorization } })).json().revocations

const typoOf = (key: string) => `${key.slice(0, -1)}${key.endsWith('0') ? '1' : '0'}`

const seconds = (time: string) => Math.floor(Date.parse(time) / 1000)

t.test('a key is active with its scopes until it ends, expires or has a typo', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const hers = await createKey(alice, ['tasks:write', 'tasks:read'])
  const his = await createKey(bob)
  t.same(await introspect(app, hers.key), {
    active: true,
    sub: alice.id,
    iat: seconds(hers.created_at),
    exp: seconds(hers.expires_at),
    jti: hers.id,
    scope: 'tasks:write tasks:read',
    token_type: 'Bearer',
  })
  t.match(await introspect(app, his.key), { sub: bob.id, jti: his.id, scope: 'tasks:read' })
  for (const text of [typoOf(hers.key), newKeyText(), `${hers.key} `, hers.key.toUpperCase()])
    t.same(await introspect(app, text), { active: false })

  await alice.call('DELETE', `/api/auth/keys/${hers.id}`)
  t.same(await introspect(app, hers.key), { active: false })
  t.equal((await introspect(app, his.key)).active, true, "another user's key goes on")
})

t.test('an expired key is inactive', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice } = await twoUsers(t, { env, clock: () => now })
  const { key } = await createKey(alice)
  t.equal((await introspect(app, key)).active, true)
  // The database has its own clock, which went on.
  now += 86_400 + 60
  t.same(await introspect(app, key), { active: false })
})

t.test('a key that is revoked ends, alone', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const [hers, other, his] = [await createKey(alice), await createKey(alice), await createKey(bob)]
  const foreign = mint({ typ: 'JWT' }, { iss: undefined, aud: undefined, sid: undefined, sub: alice.id })
  for (const { key } of [hers, other]) t.equal(await opens(app, key, alice), 200)

  for (const text of [typoOf(hers.key), newKeyText()]) t.equal((await revoke(app, text)).statusCode, 200)
  t.equal(await opens(app, hers.key, alice), 200)

  for (const attempt of ['first', 'again']) {
    const answer = await revoke(app, hers.key)
    t.same([answer.statusCode, answer.body, answer.headers['cache-control']], [200, '', 'no-store'], attempt)
    t.equal(await opens(app, hers.key, alice), 401, attempt)
  }
  t.same(await introspect(app, hers.key), { active: false })
  t.same(await eventsOf(app, alice), ['api_key_created', 'api_key_created', 'api_key_ended'], 'once')
  t.same(
    (await alice.call('GET', '/api/auth/keys')).json().map(({ id }: { id: string }) => id),
    [other.id],
  )
  t.equal(await opens(app, other.key, alice), 200)
  t.equal(await opens(app, his.key, bob), 200)
  for (const token of [alice.token, foreign])
    t.equal(await opens(app, token, alice), 200, 'no token ends with it')

  const entries = await feed(app)
  t.match(entries, [{ key_id: hers.id }])
  t.equal(entries.length, 1)
  t.ok(entries[0].ends_at > seconds(hers.expires_at), 'until nothing would accept the key any more')
})

t.test('the feed has each key that ends with its account', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  await createKey(bob)
  const keys = [await createKey(alice), await createKey(alice)]
  await sql`delete from users where id = ${alice.id}`.execute(app.db)
  const ids = (await feed(app)).flatMap(({ key_id }: { key_id?: string }) => key_id ?? [])
  t.same(ids.sort(), keys.map(({ id }) => id).sort())
})
