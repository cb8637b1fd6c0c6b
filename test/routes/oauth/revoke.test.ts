import t from 'tap'
import { newKeyText } from '../../../src/api-keys/text.ts'
import { eventsOf, type TestUser, testApp, twoUsers } from '../../helper.ts'
import { mint } from '../../support/mint.ts'
import { basic, form, serviceClients } from '../../support/service-client.ts'

const url = '/oauth/revoke'

t.test('a refresh or an access token ends its session, as a logout does', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const revoke = async (token: string) => {
    const answer = await app.inject(form(url, { token }))
    return [answer.statusCode, answer.body, answer.headers['cache-control']]
  }
  const done = [200, '', 'no-store']
  const refresh = (refreshToken: string) =>
    app.inject({ method: 'POST', url: '/api/auth/refresh', payload: { refresh_token: refreshToken } })
  const lives = async (user: TestUser) => (await user.call('GET', '/api/auth/me')).statusCode

  t.same(await revoke(alice.refreshToken), done)
  t.equal(await lives(alice), 401)
  t.equal((await refresh(alice.refreshToken)).statusCode, 401)
  t.equal(await lives(bob), 200, "another user's session goes on")
  t.same(await eventsOf(app, alice), ['session_ended'])
  t.same(await revoke(alice.refreshToken), done, 'again')
  t.same(await revoke(alice.token), done, 'the other token of the ended session')
  t.same(await eventsOf(app, alice), ['session_ended'], 'once')

  t.same(await revoke(bob.token), done)
  t.equal(await lives(bob), 401)
  t.equal((await refresh(bob.refreshToken)).statusCode, 401)
  t.same(await eventsOf(app, bob), ['session_ended'])
})

t.test('a refresh token that was exchanged ends its session, too', async (t) => {
  const { app, alice } = await twoUsers(t)
  const payload = { refresh_token: alice.refreshToken }
  const { token } = (await app.inject({ method: 'POST', url: '/api/auth/refresh', payload })).json()
  t.equal((await app.inject(form(url, { token: alice.refreshToken, token_type_hint: 'x' }))).statusCode, 200)
  const headers = { authorization: `Bearer ${token}` }
  t.equal((await app.inject({ url: '/api/auth/me', headers })).statusCode, 401)
})

t.test('what opens nothing is 200 and ends nothing', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: serviceClients({ gateway: ['introspect'] }) })
  const forged = Buffer.from(alice.refreshToken, 'base64url')
  forged[forged.length - 1] = (forged.at(-1) ?? 0) ^ 1
  const { token: ofClient } = app.issueClientToken({ id: 'gateway', scopes: ['introspect'] })
  const tokens = {
    'a forged refresh token': forged.toString('base64url'),
    'a forged access token': `${alice.token.slice(0, -4)}AAAA`,
    'an expired access token': mint({}, { sub: alice.id, iat: 1_000_000, exp: 1_000_900 }),
    'a token of a client': ofClient,
    'nothing like a token': 'x\0',
  }
  for (const [name, token] of Object.entries(tokens)) {
    t.equal((await app.inject(form(url, { token }))).statusCode, 200, name)
  }
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  const introspected = await app.inject(
    form('/oauth/introspect', { token: ofClient }, { authorization: basic('gateway') }),
  )
  t.equal(introspected.json().active, true, 'a client has no session to end')
})

t.test('an API key ends, and nothing else of its owner', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const wanted = { name: 'x', scopes: ['tasks:read'], expires_in_days: 1 }
  const keyOf = async (user: TestUser) => (await user.call('POST', '/api/auth/keys', wanted)).json().key
  const [key, other, bobs] = [await keyOf(alice), await keyOf(alice), await keyOf(bob)]
  const reads = async (token: string, { tasks }: TestUser) =>
    (await app.inject({ url: tasks, headers: { authorization: `Bearer ${token}` } })).statusCode
  const shared = mint({ typ: 'JWT' }, { iss: undefined, aud: undefined, sid: undefined, sub: alice.id })

  const typo = key.replace(/.$/, key.endsWith('0') ? '1' : '0')
  for (const unknown of [typo, newKeyText(), 'lk_pat_'])
    t.equal((await app.inject(form(url, { token: unknown }))).statusCode, 200, unknown)
  t.equal(await reads(key, alice), 200)

  const answer = await app.inject(form(url, { token: key }))
  t.same([answer.statusCode, answer.body], [200, ''])
  t.equal(await reads(key, alice), 401)
  t.same((await eventsOf(app, alice)).slice(-1), ['api_key_ended'])
  t.equal((await app.inject(form(url, { token: key }))).statusCode, 200, 'again')
  t.same((await eventsOf(app, alice)).filter((event) => event === 'api_key_ended').length, 1, 'once')
  t.equal(await reads(other, alice), 200)
  t.equal(await reads(bobs, bob), 200)
  t.equal(await reads(alice.token, alice), 200)
  t.equal(await reads(shared, alice), 200, 'nor a token without a session')
})

t.test('a token of the shared secret ends all of its user issued until now', async (t) => {
  const app = await testApp(t)
  const foreign = (sub: string) =>
    mint({ typ: 'JWT' }, { iss: undefined, aud: undefined, sid: undefined, sub })
  const [carol, dave] = [foreign('carol'), foreign('dave')]
  const tasks = async (sub: string, token: string) =>
    (await app.inject({ url: `/api/${sub}/tasks`, headers: { authorization: `Bearer ${token}` } })).statusCode
  t.equal(await tasks('carol', carol), 200)
  t.equal((await app.inject(form(url, { token: carol }))).statusCode, 200)
  t.equal(await tasks('carol', carol), 401)
  t.equal(await tasks('dave', dave), 200)
  t.same(await eventsOf(app, { id: 'carol' }), ['tokens_revoked'])
})

t.test('malformed forms, and the limit of an address', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_REFRESH: '5/1m' } })
  const errorOf = async (request: ReturnType<typeof form>) => {
    const answer = await app.inject(request)
    return [answer.statusCode, answer.json().error, answer.json().code]
  }
  const invalidRequest = [400, 'invalid_request', 'invalid_request']
  t.same(await errorOf(form(url, '')), invalidRequest)
  t.same(await errorOf(form(url, 'token=a&token=b')), invalidRequest)
  t.same(await errorOf(form(url, 'token=%ff')), invalidRequest)
  t.same(await errorOf(form(url, '{}', { 'content-type': 'application/json' })), [
    415,
    'invalid_request',
    'unsupported_media_type',
  ])
  t.equal((await app.inject(form(url, { token: 'x' }))).statusCode, 200)
  t.same(await errorOf(form(url, { token: 'x' })), [429, 'temporarily_unavailable', 'rate_limited'])
})
