import t from 'tap'
import { ownApp, secret, signUp, testApp, twoUsers } from '../../helper.ts'
import { mint } from '../../support/mint.ts'
import { basic, form, serviceClients } from '../../support/service-client.ts'

const env = serviceClients({ gateway: ['introspect', 'notes:read'], reader: ['notes:read'] })

const url = '/oauth/introspect'
const authorization = basic('gateway')
const origin = 'http://latchkey.test'

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

t.test('an active token: what it says, without the person', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const introspect = async (token: string) => {
    const answer = await app.inject(form(url, { token, token_type_hint: 'refresh_token' }, { authorization }))
    return [answer.statusCode, answer.headers['cache-control'], answer.json()]
  }
  const { iss, aud, sub, sid, jti, iat, exp, auth_time } = claimsOf(alice.token)
  t.same(await introspect(alice.token), [
    200,
    'no-store',
    {
      active: true,
      sub,
      sid,
      iss,
      aud,
      exp,
      iat,
      jti,
      token_type: 'Bearer',
      auth_time,
      acr: 'aal1',
      amr: ['pwd'],
    },
  ])
  t.equal((await introspect(bob.token))[2].sub, bob.id)

  const { token } = app.issueClientToken({ id: 'reader', scopes: ['notes:read'] })
  const client = claimsOf(token)
  t.same((await introspect(token))[2], {
    active: true,
    sub: 'client_reader',
    client_id: 'client_reader',
    scope: 'notes:read',
    iss: origin,
    aud: origin,
    exp: client.exp,
    iat: client.iat,
    jti: client.jti,
    token_type: 'Bearer',
  })

  const foreign = mint(
    { typ: 'JWT' },
    {
      iss: undefined,
      sub: 'x'.repeat(32),
      sid: 'theirs',
      email: 'a@example.com',
      name: 'A',
      jti: 7,
      scope: 'a',
    },
  )
  const shared = (await introspect(foreign))[2]
  t.same(Object.keys(shared).sort(), ['active', 'aud', 'exp', 'iat', 'scope', 'sub', 'token_type'])
  t.equal(shared.sub, 'x'.repeat(32))

  await alice.call('POST', '/api/auth/logout')
  t.same((await introspect(alice.token))[2], { active: false }, 'after the logout')
  t.equal((await introspect(bob.token))[2].active, true)
})

t.test('whatever would be refused is inactive, and nothing else', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  const client = { sub: 'client_gateway', client_id: 'client_gateway', sid: undefined }
  const { token: ofClient } = app.issueClientToken({ id: 'gateway', scopes: [] })
  const tokens = {
    'a refresh token': alice.refreshToken,
    'no token': 'x',
    'a NUL': 'a.b.c\0',
    dots: '..',
    '14 KB': `${'a'.repeat(14_000)}.b.c`,
    'a forged one': `${alice.token.slice(0, -4)}AAAA`,
    'with a space behind': `${alice.token} `,
    'the scheme before it': `Bearer ${alice.token}`,
    'without signature': mint({ alg: 'none' }),
    'of another secret': mint({}, { iss: 'https://elsewhere.example' }),
    'for another audience': mint({}, { aud: 'https://elsewhere.example' }),
    'an expired one': mint({}, { iat: 1_000_000, exp: 1_000_900 }),
    'of a client that is gone': mint({}, { ...client, sub: 'client_x', client_id: 'client_x', scope: '' }),
    'with a scope that is gone': mint({}, { ...client, scope: 'admin:write' }),
    'a forged one of a client': `${ofClient.slice(0, -4)}AAAA`,
    'the secret': secret,
  }
  for (const [name, token] of Object.entries(tokens)) {
    const answer = await app.inject(form(url, { token }, { authorization }))
    t.equal(answer.statusCode, 200, name)
    t.equal(answer.body, '{"active":false}', name)
  }
})

t.test('only a client with the scope may ask, and only with a token', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  const { token } = app.issueClientToken({ id: 'gateway', scopes: ['introspect'] })
  const { token: narrow } = app.issueClientToken({ id: 'gateway', scopes: ['notes:read'] })
  const ask = async (
    headers: Record<string, string>,
    body: Parameters<typeof form>[1] = { token: alice.token },
  ) => {
    const answer = await app.inject(form(url, body, headers))
    const { active, error, code } = answer.json()
    return [answer.statusCode, active ?? error, code]
  }
  t.same(await ask({ authorization: `Bearer ${token}` }), [200, true, undefined], 'a token of the client')
  const invalidClient = [401, 'invalid_client', 'invalid_client']
  t.same(await ask({}), invalidClient)
  t.same(await ask({ authorization: basic('gateway', 'x') }), invalidClient)
  t.same(await ask({ authorization: `Bearer ${alice.token}` }), invalidClient, 'a user')
  t.same(await ask({}, { token, client_id: 'gateway', client_secret: 'x' }), invalidClient, 'a form')
  const insufficient = [403, 'insufficient_scope', 'insufficient_scope']
  t.same(await ask({ authorization: basic('reader') }), insufficient)
  t.same(await ask({ authorization: `Bearer ${narrow}` }), insufficient)
  const invalidRequest = [400, 'invalid_request', 'invalid_request']
  t.same(await ask({ authorization }, ''), invalidRequest)
  t.same(await ask({ authorization }, 'token='), invalidRequest)
  t.same(await ask({ authorization }, 'token=a&token=b'), invalidRequest)
  t.same(await ask({ authorization }, 'token=%'), invalidRequest)
  const json = { authorization, 'content-type': 'application/json' }
  t.same(await ask(json, '{"token":"x"}'), [415, 'invalid_request', 'unsupported_media_type'])
})

t.test('while revocations are unknown it is 503, whatever the token', async (t) => {
  const app = await ownApp(t, { env })
  const alice = await signUp(app, 'alice')
  app.revocations.heard(Number.NEGATIVE_INFINITY)
  Object.defineProperty(app.revocations, 'heard', { value: () => {} })
  for (const token of [alice.token, 'x']) {
    const answer = await app.inject(form(url, { token }, { authorization }))
    t.same([answer.statusCode, answer.json().error], [503, 'temporarily_unavailable'])
    t.equal(answer.json().code, 'service_unavailable')
    t.ok(answer.headers['retry-after'])
  }
})
