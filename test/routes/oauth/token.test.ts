import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { testApp } from '../../helper.ts'
import { basic, clientSecret, form, serviceClients } from '../../support/service-client.ts'

const env = serviceClients({ gateway: ['introspect', 'notes:read'], reader: [] })

const url = '/oauth/token'
const grant = { grant_type: 'client_credentials' }
const authorization = basic('gateway')

/** What an OAuth library and a person get of an error; fails where another client of the service would miss a field. */
function errorOf(answer: LightMyRequestResponse) {
  const { error, error_description, code, detail, status, request_id, ...others } = answer.json()
  const complete =
    Object.keys(others).length === 0 &&
    detail === error_description &&
    status === answer.statusCode &&
    request_id === answer.headers['x-request-id'] &&
    /^application\/json/.test(String(answer.headers['content-type'])) &&
    answer.headers['cache-control'] === 'no-store'
  return complete ? [status, error, code] : answer.body
}

const claimsOf = (token: string) => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())

t.test('client credentials: an access token with all scopes, or those asked for', async (t) => {
  const now = 1_800_000_000
  const app = await testApp(t, { env, clock: () => now })
  const answer = await app.inject(form(url, grant, { authorization }))
  t.equal(answer.statusCode, 200)
  t.equal(answer.headers['cache-control'], 'no-store')
  const { access_token: token, ...rest } = answer.json()
  t.same(rest, { token_type: 'Bearer', expires_in: 900, scope: 'introspect notes:read' })
  const { jti, ...claims } = claimsOf(token)
  t.match(jti, /^[\w-]{22}$/)
  t.same(claims, {
    iss: 'http://latchkey.test',
    aud: 'http://latchkey.test',
    sub: 'client_gateway',
    client_id: 'client_gateway',
    scope: 'introspect notes:read',
    iat: now,
    exp: now + 900,
  })

  const scopeFor = async (parameters: Record<string, string>, headers = { authorization }) =>
    (await app.inject(form(url, { ...grant, ...parameters }, headers))).json().scope
  t.equal(await scopeFor({ scope: 'notes:read' }), 'notes:read')
  t.equal(await scopeFor({ scope: 'notes:read introspect notes:read' }), 'notes:read introspect')
  t.equal(await scopeFor({ scope: '' }), 'introspect notes:read', 'an empty parameter is absent')
  t.equal(
    await scopeFor({ audience: 'x', 'a[b]': 'c', ['__proto__']: 'd' }),
    'introspect notes:read',
    'unknown',
  )
  t.equal(await scopeFor({ client_id: 'gateway' }), 'introspect notes:read', 'its own id besides')
  t.equal(await scopeFor({}, { authorization: basic('reader') }), '', 'a client without scopes')
  const posted = await app.inject(form(url, { ...grant, client_id: 'gateway', client_secret: clientSecret }))
  t.equal(posted.json().scope, 'introspect notes:read', 'credentials in the form')
})

t.test('what is refused, in the words of RFC 6749 section 5.2', async (t) => {
  const app = await testApp(t, { env })
  const invalidRequest = [400, 'invalid_request', 'invalid_request']
  const invalidClient = [401, 'invalid_client', 'invalid_client']
  const invalidScope = [400, 'invalid_scope', 'invalid_scope']
  const good = 'grant_type=client_credentials'
  const cases: [string, Parameters<typeof form>[1], Record<string, string>, unknown[]][] = [
    ['no client', grant, {}, invalidClient],
    ['an unknown client', grant, { authorization: basic('stranger') }, invalidClient],
    ['a wrong secret', grant, { authorization: basic('gateway', 'x') }, invalidClient],
    ['broken base64', grant, { authorization: 'Basic a' }, invalidClient],
    ['a token as credentials', grant, { authorization: 'Bearer a.b.c' }, invalidClient],
    ['another scheme', grant, { authorization: 'Digest a' }, invalidClient],
    ['an empty header', grant, { authorization: '' }, invalidClient],
    ['an id alone', { ...grant, client_id: 'gateway' }, {}, invalidClient],
    ['a secret alone', { ...grant, client_secret: clientSecret }, {}, invalidClient],
    ['a wrong secret in the form', { ...grant, client_id: 'gateway', client_secret: 'x' }, {}, invalidClient],
    ['an id of 10 KB', { ...grant, client_id: 'g'.repeat(10_240), client_secret: 'x' }, {}, invalidClient],
    ['a NUL in the id', { ...grant, client_id: 'gateway\0', client_secret: clientSecret }, {}, invalidClient],
    ['two ways at once', { ...grant, client_secret: clientSecret }, { authorization }, invalidRequest],
    ['two clients', { ...grant, client_id: 'reader' }, { authorization }, invalidRequest],
    ['no grant type', { scope: 'introspect' }, { authorization }, invalidRequest],
    ['an empty grant type', 'grant_type=', { authorization }, invalidRequest],
    ['no body', '', { authorization }, invalidRequest],
    ['a repeated parameter', `${good}&${good}`, { authorization }, invalidRequest],
    ['a repeated unknown one', `${good}&a=1&%61=2`, { authorization }, invalidRequest],
    ['a repeated empty one', `${good}&scope=&scope=`, { authorization }, invalidRequest],
    ['a percent that encodes nothing', `${good}&scope=%zz`, { authorization }, invalidRequest],
    ['a cut percent', `${good}&scope=%`, { authorization }, invalidRequest],
    ['no UTF-8', `${good}&scope=%ff`, { authorization }, invalidRequest],
    ['a surrogate', `${good}&scope=%ed%a0%80`, { authorization }, invalidRequest],
    ['a name that cannot be decoded', `${good}&%=1`, { authorization }, invalidRequest],
    [
      'the password grant',
      { grant_type: 'password' },
      { authorization },
      [400, 'unsupported_grant_type', 'unsupported_grant_type'],
    ],
    [
      'another case',
      { grant_type: 'Client_Credentials' },
      { authorization },
      [400, 'unsupported_grant_type', 'unsupported_grant_type'],
    ],
    [
      "another client's scope",
      { ...grant, scope: 'introspect admin:write' },
      { authorization },
      invalidScope,
    ],
    ['two spaces', { ...grant, scope: 'introspect  notes:read' }, { authorization }, invalidScope],
    ['a NUL in the scope', { ...grant, scope: 'introspect\0' }, { authorization }, invalidScope],
    [
      'any scope of a client without',
      { ...grant, scope: 'introspect' },
      { authorization: basic('reader') },
      invalidScope,
    ],
    [
      'JSON',
      JSON.stringify(grant),
      { authorization, 'content-type': 'application/json' },
      [415, 'invalid_request', 'unsupported_media_type'],
    ],
    [
      'another charset',
      grant,
      { authorization, 'content-type': 'application/x-www-form-urlencoded; charset=latin1' },
      [415, 'invalid_request', 'unsupported_media_type'],
    ],
    [
      'compressed',
      grant,
      { authorization, 'content-encoding': 'gzip' },
      [415, 'invalid_request', 'unsupported_media_type'],
    ],
    [
      '20 KB',
      `${good}&a=${'a'.repeat(20_480)}`,
      { authorization },
      [413, 'invalid_request', 'payload_too_large'],
    ],
  ]
  for (const [name, parameters, headers, expected] of cases) {
    const answer = await app.inject(form(url, parameters, headers))
    t.same(errorOf(answer), expected, name)
    t.equal(
      answer.headers['www-authenticate'],
      expected[0] === 401 ? 'Basic realm="latchkey"' : undefined,
      name,
    )
  }
  const two = await app.inject(form(url, grant, { authorization: [authorization, authorization] as never }))
  t.same(errorOf(two), invalidRequest, 'two headers')
  const empty = await app.inject({ method: 'POST', url, headers: { authorization } })
  t.same(errorOf(empty), invalidRequest, 'nothing at all')
  const bytes = await app.inject({
    ...form(url, '', { authorization }),
    payload: Buffer.from('grant_type=\xff', 'latin1'),
  })
  t.same(errorOf(bytes), invalidRequest, 'bytes that are not UTF-8')
  t.match(
    (await app.inject(form(url, {}, { authorization }))).json().error_description,
    /: grant_type is required$/,
  )
  const json = await app.inject(form(url, '{}', { authorization, 'content-type': 'application/json' }))
  t.match(json.json().detail, /must be application\/x-www-form-urlencoded/)
  const upper = form(url, grant, {
    authorization,
    'content-type': 'APPLICATION/x-www-form-urlencoded ;charset=UTF-8',
  })
  t.equal((await app.inject(upper)).statusCode, 200, 'another spelling of the type')
  t.equal((await app.inject({ url })).statusCode, 405)
})

t.test('a client that authenticates has no limit, whatever is refused before has one', async (t) => {
  const limits = { RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '2/1m', RATE_LIMIT_SERVICE: '3/1m' }
  const app = await testApp(t, { env: { ...env, ...limits } })
  const status = async (parameters: Parameters<typeof form>[1], authorization: string) =>
    (await app.inject(form(url, parameters, { authorization }))).statusCode
  for (let n = 0; n < 5; n++) t.equal(await status(grant, authorization), 200)
  t.equal(await status({ ...grant, scope: 'x' }, authorization), 400, 'a mistake of a client is not counted')
  t.same(
    [await status(grant, basic('stranger')), await status({}, 'Basic x'), await status('%', 'Basic x')],
    [401, 400, 400],
  )
  const refused = await app.inject(form(url, grant, { authorization: basic('stranger') }))
  t.same(errorOf(refused), [429, 'temporarily_unavailable', 'rate_limited'])
  t.ok(refused.headers['retry-after'])
  t.equal(await status('%', 'Basic x'), 429)
  t.equal(await status(grant, authorization), 200, 'the client is served all the same')
})

t.test('the token is of the key pair in force, too', async (t) => {
  const app = await testApp(t, { env: { ...env, ALGORITHM: 'ES256' }, extend: machine })
  const { access_token: token } = (await app.inject(form(url, grant, { authorization }))).json()
  const answer = await app.inject({ url: '/machine', headers: { authorization: `Bearer ${token}` } })
  t.same(answer.json(), { id: 'gateway', scopes: ['introspect', 'notes:read'] })
  const forged = `${token.slice(0, -8)}AAAAAAAA`
  t.equal(
    (await app.inject({ url: '/machine', headers: { authorization: `Bearer ${forged}` } })).statusCode,
    401,
  )
})

function machine(app: FastifyInstance): void {
  app.get('/machine', { config: { access: 'service', scope: 'introspect' } }, async ({ service }) => service)
}
