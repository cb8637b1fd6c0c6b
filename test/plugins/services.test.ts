import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import { latchkeyAuth } from '../../plugins/auth.ts'
import { problemOf, secret, signUp, testApp, unauthorized } from '../helper.ts'
import { mint } from '../support/mint.ts'
import { basic, clientSecret, digestOf, serviceClients } from '../support/service-client.ts'

const clients = serviceClients({ gateway: ['introspect', 'neighbour:read'], reader: [] })

/** Routes of each kind, as a later part of the service would add them. */
function extend(app: FastifyInstance): void {
  app.get('/machine', { config: { access: 'service', scope: 'introspect' } }, async ({ service, user }) => ({
    service,
    user,
  }))
  app.post('/machine', { config: { access: 'service', scope: 'introspect' } }, async ({ service }) => service)
  app.get(
    '/of/:user_id',
    { config: { access: 'service', scope: 'introspect' } },
    async ({ params }) => params,
  )
  app.get('/greeting', { config: { access: 'optional' } }, async ({ user, service }) => ({ user, service }))
}

const invalidClient = {
  ...unauthorized,
  detail: 'The client could not be authenticated',
  code: 'invalid_client',
}

t.test('access "service": HTTP Basic, or the access token of a client', async (t) => {
  const app = await testApp(t, { env: clients, extend })
  const call = (authorization: string | undefined, url = '/machine') =>
    app.inject({ url, headers: authorization === undefined ? {} : { authorization } })
  const { token } = app.issueClientToken({ id: 'gateway', scopes: ['introspect'] })

  const byBasic = await call(basic('gateway'))
  t.same(byBasic.json(), { service: { id: 'gateway', scopes: ['introspect', 'neighbour:read'] }, user: null })
  const byToken = await call(`Bearer ${token}`)
  t.same(byToken.json(), { service: { id: 'gateway', scopes: ['introspect'] }, user: null })
  t.same((await call(`Bearer ${token}`)).json(), byToken.json(), 'from the cache of verified tokens')
  t.same((await call(basic('gateway'), '/of/user_1')).json(), { user_id: 'user_1' })
  t.equal((await call(basic('gateway').replace('Basic', 'bASIC '))).statusCode, 200, 'the scheme in any case')

  const alice = await signUp(app, 'alice')
  const claims = { sub: 'client_gateway', client_id: 'client_gateway', scope: 'introspect', sid: undefined }
  const refused: Record<string, string | undefined> = {
    nothing: undefined,
    'an unknown id': basic('stranger'),
    'a wrong secret': basic('gateway', `${clientSecret}x`),
    'an empty secret': basic('gateway', ''),
    'the digest instead of the secret': basic('gateway', digestOf(clientSecret)),
    'another case of the id': basic('Gateway'),
    'the id as it is in tokens': basic('client_gateway'),
    'no colon': `Basic ${Buffer.from('gateway').toString('base64')}`,
    'nothing after the scheme': 'Basic',
    'no base64': 'Basic gateway:secret',
    base64url: `Basic ${Buffer.from('gateway:\u{ff}\u{ff}\u{ff}').toString('base64url')}`,
    'broken base64': `${basic('gateway')}=`,
    'stray bits at the end': 'Basic Z2F0ZXdheTpZ',
    'no UTF-8': `Basic ${Buffer.from([0x67, 0x3a, 0xff]).toString('base64')}`,
    'a percent that encodes nothing': `Basic ${Buffer.from('gateway:%zz').toString('base64')}`,
    'a NUL': basic('gateway\0'),
    'an id of 10 KB': basic('g'.repeat(7_500)),
    'the name of a property': basic('__proto__'),
    "a user's token": `Bearer ${alice.token}`,
    'a token of an unknown client': `Bearer ${mint({}, { ...claims, sub: 'client_x', client_id: 'client_x' })}`,
    'a scope that was taken away': `Bearer ${mint({}, { ...claims, scope: 'introspect admin:write' })}`,
    'a token without scope': `Bearer ${mint({}, { ...claims, scope: undefined })}`,
    'a scope that is a list': `Bearer ${mint({}, { ...claims, scope: ['introspect'] })}`,
    'a client with a session': `Bearer ${mint({}, { ...claims, sid: 'session_01kb3v5rs1e2wbhx4hrsz3zj5f' })}`,
    'sub and client_id that differ': `Bearer ${mint({}, { ...claims, client_id: 'client_reader' })}`,
    'a sub without prefix': `Bearer ${mint({}, { ...claims, sub: 'gateway', client_id: 'gateway' })}`,
    'a forged token': `Bearer ${token.slice(0, -4)}AAAA`,
    'a token of the shared secret': `Bearer ${mint({ typ: 'JWT' }, { ...claims, iss: undefined })}`,
    'an expired token': `Bearer ${mint({}, { ...claims, iat: 1_000_000, exp: 1_000_900 })}`,
  }
  for (const [name, authorization] of Object.entries(refused)) {
    const answer = await call(authorization)
    t.same(problemOf(answer), invalidClient, name)
    t.equal(answer.headers['www-authenticate'], 'Basic realm="latchkey"', name)
  }
  const two = await app.inject({
    url: '/machine',
    headers: { authorization: [basic('gateway'), basic('gateway')] as unknown as string },
  })
  t.same([two.statusCode, problemOf(two).code], [400, 'invalid_request'], 'two headers')

  const narrow = await call(basic('reader'))
  t.same([narrow.statusCode, problemOf(narrow).code], [403, 'insufficient_scope'])
  t.equal(narrow.headers['www-authenticate'], 'Bearer error="insufficient_scope", scope="introspect"')
})

t.test('a token of a client opens nothing of a user', async (t) => {
  const app = await testApp(t, { env: serviceClients({ gateway: ['introspect'] }), extend })
  const { token } = app.issueClientToken({ id: 'gateway', scopes: ['introspect'] })
  const headers = { authorization: `Bearer ${token}` }
  for (const url of ['/api/auth/me', '/api/client_gateway/tasks', '/api/gateway/tasks']) {
    const answer = await app.inject({ url, headers })
    t.same(problemOf(answer), unauthorized, url)
    t.equal(answer.headers['www-authenticate'], 'Bearer error="invalid_token"')
  }
  t.same((await app.inject({ url: '/greeting', headers })).json(), { user: null, service: null })
  t.same(
    (await app.inject({ url: '/greeting', headers: { authorization: basic('gateway') } })).json(),
    { user: null, service: null },
    'nor do its credentials',
  )
})

t.test('both secrets are accepted while one is replaced', async (t) => {
  const entry = {
    id: 'gateway',
    secret_sha256: [digestOf('old secret'), digestOf('neü: secret%')],
    scopes: ['introspect'],
  }
  const app = await testApp(t, { env: { SERVICE_CLIENTS: JSON.stringify([entry]) }, extend })
  const status = async (secret: string) =>
    (await app.inject({ url: '/machine', headers: { authorization: basic('gateway', secret) } })).statusCode
  t.equal(await status('old secret'), 200)
  t.equal(await status('neü: secret%'), 200)
  t.equal(await status(clientSecret), 401)
})

t.test('without SERVICE_CLIENTS nobody is a service', async (t) => {
  const app = await testApp(t, { extend })
  const answer = await app.inject({ url: '/machine', headers: { authorization: basic('gateway', '') } })
  t.equal(answer.statusCode, 401)
})

t.test('no limit by address for a client, one for failures', async (t) => {
  const env = { ...clients, RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '2/1m', RATE_LIMIT_SERVICE: '2/1m' }
  const app = await testApp(t, { env, extend })
  const call = (authorization: string, remoteAddress = '192.0.2.1') =>
    app.inject({ url: '/machine', headers: { authorization }, remoteAddress })
  for (let n = 0; n < 5; n++) t.equal((await call(basic('gateway'))).statusCode, 200)
  t.equal((await call(basic('gateway', 'x'))).statusCode, 401)
  t.equal((await call('Bearer x')).statusCode, 401)
  const refused = await call(basic('stranger'))
  t.same([refused.statusCode, problemOf(refused).code], [429, 'rate_limited'])
  t.match(refused.headers, {
    'retry-after': /^[1-9]\d?$/,
    'ratelimit-limit': '2',
    'ratelimit-remaining': '0',
    'ratelimit-reset': /^[1-9]\d?$/,
  })
  t.equal((await call(basic('stranger'), '192.0.2.2')).statusCode, 401, 'another address has its own')
  t.equal((await call(basic('gateway'))).statusCode, 200, 'the client is served all the same')
})

t.test('a token that expires while a body arrives is refused', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const app = await testApp(t, { env: clients, extend, clock: () => now })
  const { token } = app.issueClientToken({ id: 'gateway', scopes: ['introspect'] })
  const { Readable } = await import('node:stream')
  async function* body() {
    yield '{'
    now += 15 * 60 + 31
    yield '}'
  }
  const answer = await app.inject({
    method: 'POST',
    url: '/machine',
    headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
    payload: Readable.from(body()),
  })
  t.same(problemOf(answer), invalidClient)
})

t.test('latchkey/auth takes the tokens of clients, and no credentials', async (t) => {
  const url = 'http://latchkey.test'
  const neighbour = Fastify()
  await neighbour.register(latchkeyAuth, { latchkeyUrl: url, secret })
  extend(neighbour)
  t.teardown(() => neighbour.close())
  const claims = { sub: 'client_gateway', client_id: 'client_gateway', scope: 'introspect', sid: undefined }
  const call = (authorization?: string) =>
    neighbour.inject({ url: '/machine', headers: authorization ? { authorization } : {} })

  t.same((await call(`Bearer ${mint({}, claims)}`)).json(), {
    service: { id: 'gateway', scopes: ['introspect'] },
    user: null,
  })
  const challenges: [string | undefined, string][] = [
    [undefined, 'Bearer'],
    [basic('gateway'), 'Bearer error="invalid_token"'],
    [`Bearer ${mint()}`, 'Bearer error="invalid_token"'],
  ]
  for (const [authorization, challenge] of challenges) {
    const answer = await call(authorization)
    t.same(problemOf(answer), invalidClient)
    t.equal(answer.headers['www-authenticate'], challenge)
  }
  const narrow = await call(`Bearer ${mint({}, { ...claims, scope: '' })}`)
  t.same([narrow.statusCode, problemOf(narrow).code], [403, 'insufficient_scope'])
})
