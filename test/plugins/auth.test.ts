import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance } from 'fastify'
import t, { type Test } from 'tap'
import { type LatchkeyAuthOptions, latchkeyAuth } from '../../plugins/auth.ts'
import { problemOf, secret, unauthorized } from '../helper.ts'
import { goodClaims, mint, sign } from '../support/mint.ts'

const latchkeyUrl = 'http://latchkey.test'
const alice = goodClaims()['sub']

/** Another service with latchkey/auth, and a route for each access. */
async function foreignApp(
  t: Test,
  prepare: (app: FastifyInstance) => unknown = () => {},
  options: LatchkeyAuthOptions = { latchkeyUrl, secret },
) {
  const app = Fastify()
  t.teardown(() => app.close())
  await prepare(app)
  await app.register(latchkeyAuth, options)
  app.get('/', { config: { access: 'public' } }, async () => ({ hello: 'world' }))
  app.get('/me', { config: { access: 'user' } }, async ({ user, caller, owner }) => ({ user, caller, owner }))
  app.get('/api/:user_id/things', { config: { access: 'owner' } }, async ({ owner }) => [owner])
  const ask = (url: string, token?: string, payload?: Readable) =>
    app.inject({
      url,
      headers: {
        ...(token === undefined ? {} : { authorization: `Bearer ${token}` }),
        ...(payload ? { 'content-type': 'application/json' } : {}),
      },
      ...(payload ? { method: 'POST' as const, payload } : {}),
    })
  return { app, ask }
}

const forbidden = { media: unauthorized.media, status: 403, code: 'not_owner' }

t.test('another service gets the guard, the caller and the problem responses', async (t) => {
  const { ask } = await foreignApp(t)
  t.equal((await ask('/')).statusCode, 200)
  const { user, caller, owner } = (await ask('/me', mint())).json()
  t.match(user, { sub: alice, userId: alice, sid: goodClaims()['sid'] })
  t.same(caller, user)
  t.equal(owner, alice)
  t.same((await ask(`/api/${alice}/things`, mint())).json(), [alice])
  t.match(problemOf(await ask('/api/different_user/things', mint())), forbidden)
  for (const path of ['/me', `/api/${alice}/things`]) {
    t.same(problemOf(await ask(path)), unauthorized)
    t.same(problemOf(await ask(path, mint({}, { exp: 1 }))), unauthorized)
    t.equal((await ask(path)).headers['www-authenticate'], 'Bearer')
  }
  const unclear = await ask('/me?access_token=x', mint())
  t.match(problemOf(unclear), { media: unauthorized.media, status: 400, code: 'invalid_request' })
})

t.test('its 404s, errors and schemas are not affected', async (t) => {
  let codes: unknown[] = []
  const { app, ask } = await foreignApp(t, (app) => {
    app.addSchema({ $id: 'Problem', type: 'object', properties: { code: { type: 'integer' } } })
    // A serializer for another kind of schema.
    app.setSerializerCompiler(({ schema }) => {
      if (!(schema as { own?: true }).own) throw new Error('this is no schema')
      return (data) => `own ${JSON.stringify(data)}`
    })
    app.addHook('onResponse', async ({ problem }) => {
      codes.push([problem?.code, problem?.reason])
    })
  })
  app.get(
    '/own',
    { config: { access: 'user' }, schema: { response: { 200: { own: true }, 401: { own: true } } } },
    async () => ({ a: 1 }),
  )
  app.get('/broken', { config: { access: 'public' } }, async () => {
    throw new Error('broken')
  })

  t.equal((await ask('/own', mint())).body, 'own {"a":1}')
  t.same(problemOf(await ask('/own', mint({}, { exp: 1 }))), unauthorized, 'its serializer is not used')
  t.same((await ask('/broken')).json(), {
    statusCode: 500,
    error: 'Internal Server Error',
    message: 'broken',
  })
  codes = []
  t.match((await ask('/nowhere')).json(), { statusCode: 404, error: 'Not Found' })
  await ask('/own')
  await ask(`/api/x/things`, mint())
  t.same(codes, [
    [undefined, undefined],
    ['unauthorized', 'missing'],
    ['not_owner', undefined],
  ])
})

t.test('routes of third-party plugins take the access of their scope', async (t) => {
  const thirdParty = async (app: FastifyInstance) => {
    app.get('/metrics', async () => 'metrics')
  }
  const { app, ask } = await foreignApp(t, (app) => app.register(thirdParty, { prefix: '/before' }))
  const forgetful = Fastify()
  await forgetful.register(latchkeyAuth, { secret })
  const message = /^GET \/metrics: config\.access must be/
  await t.rejects(async () => await forgetful.register(thirdParty), { message })

  await app.register(async (scope) => {
    scope.accessOfScope = 'user'
    await scope.register(thirdParty, { prefix: '/inside' })
  })
  t.equal((await ask('/inside/metrics')).statusCode, 401)
  t.equal((await ask('/inside/metrics', mint())).statusCode, 200)
  t.equal((await ask('/before/metrics')).statusCode, 200, 'routes registered before the guard')
  t.equal(app.accessOfScope, null, 'only within the scope')
})

t.test('a route registered before the guard is not served', async (t) => {
  const app = Fastify()
  t.teardown(() => app.close())
  app.register(latchkeyAuth, { latchkeyUrl, secret })
  let entered = false
  app.get('/api/:user_id/things', { config: { access: 'owner' } }, async () => {
    entered = true
  })
  const answer = await app.inject(`/api/${alice}/things`)
  t.match(answer.json(), { statusCode: 500, message: /^GET \/api\/:user_id\/things: was registered before/ })
  t.notOk(entered)
})

t.test('a token that assertLive refuses is refused', async (t) => {
  const reasons: unknown[] = []
  const { ask } = await foreignApp(
    t,
    (app) =>
      app.addHook('onResponse', async ({ problem }) => {
        reasons.push(problem?.reason)
      }),
    {
      latchkeyUrl,
      secret,
      assertLive({ sid }) {
        if (sid !== goodClaims()['sid']) throw new Error('over')
      },
    },
  )
  t.equal((await ask('/me', mint())).statusCode, 200)
  t.same(problemOf(await ask('/me', mint({}, { sid: 'session_01kb3v5rs1e2wbhx4hrsz3zj5g' }))), unauthorized)
  t.same(reasons, [undefined, 'revoked'])
})

t.test('assertLive is called again after the body has arrived', async (t) => {
  let ended = false
  const { app, ask } = await foreignApp(t, () => {}, {
    latchkeyUrl,
    secret,
    assertLive() {
      if (ended) throw new Error('over')
    },
  })
  app.post('/things', { config: { access: 'user' } }, async () => ({ done: true }))
  async function* body(end: boolean) {
    yield '{'
    ended = end
    yield '}'
  }
  const send = (end: boolean) => ask('/things', mint(), Readable.from(body(end)))
  t.equal((await send(false)).statusCode, 200)
  t.same(problemOf(await send(true)), unauthorized)
})

t.test('the options decide which tokens are trusted', async (t) => {
  const trusting = async (options: LatchkeyAuthOptions) => foreignApp(t, () => {}, options)
  await t.rejects(trusting({}), { message: 'there is no issuer to trust' })
  await t.rejects(trusting({ secret: 'too short' }), { message: /^the shared secret must be at least 32/ })
  for (const url of ['', 'latchkey.test', 'ftp://latchkey.test', 'http:///']) {
    await t.rejects(trusting({ latchkeyUrl: url, secret }), { message: 'latchkeyUrl must be an http(s) URL' })
  }
  await t.rejects(trusting({ betterAuthUrl: 'app.example.com' }))
  const spaced: LatchkeyAuthOptions[] = [
    { latchkeyUrl: `${latchkeyUrl}\n` },
    { latchkeyUrl: 'HTTP://latchkey.test' },
    { latchkeyUrl, audience: 'things\n' },
    { latchkeyUrl, jwksUrl: 'http:latchkey.test' },
    { betterAuthUrl: 'https://app.example.com\n' },
    { secret: `${secret}\n` },
  ]
  for (const options of spaced) {
    await t.rejects(trusting(options), { message: / must (not )?be/ }, JSON.stringify(options))
  }
  for (const issuer of ['shared-secret', '', 'a b']) {
    const entry = { issuer, audience: 'things', jwksUrl: 'http://latchkey.test/jwks' }
    await t.rejects(trusting({ trustedIssuers: [entry] }), {
      message: /^the issuer of a trusted issuer must (not )?be /,
    })
  }

  const good = 'u7Wb2QxKp9RmZt4VnY6cLs8DfGh1JaEo'
  const named = { issuer: 'https://id.example.com', audience: 'things' }
  const faulty: [LatchkeyAuthOptions, RegExp][] = [
    [{ betterAuthSecret: good }, /^betterAuthSecret needs betterAuthUrl$/],
    [{ betterAuthUrl: named.issuer, betterAuthSecret: 'short' }, /^betterAuthSecret must be at least 32/],
    [{ trustedIssuers: [{ ...named, secret: 'short' }] }, /^the secret of a trusted issuer must be at least/],
    [
      { trustedIssuers: [{ ...named, secret: good, jwksUrl: 'http://a.test/jwks' }] },
      /^the jwksUrl of a trusted issuer must be left out beside a secret$/,
    ],
    [{ trustedIssuers: [{ ...named, issuer: 'id' }] }, /^the jwksUrl of a trusted issuer or secret must be/],
  ]
  for (const [options, message] of faulty) await t.rejects(trusting(options), { message })

  // The `iss` of a Latchkey is its PUBLIC_URL without the trailing slash.
  const { ask } = await trusting({ latchkeyUrl: `${latchkeyUrl}/`, audience: 'things', secret })
  t.same(problemOf(await ask('/me', mint())), unauthorized, 'another audience')
  t.equal((await ask('/me', mint({}, { aud: 'things' }))).statusCode, 200)
  t.equal((await ask('/me', `  ${mint({}, { aud: 'things' })}`)).statusCode, 200, 'with more spaces')

  const { iat, exp } = goodClaims()
  const shared = { sub: 'someone', iat, exp }
  const bySecret = await trusting({ secret })
  const answer = await bySecret.ask('/me', sign({ alg: 'HS256' }, shared))
  t.match(answer.json(), { owner: 'someone', user: { issuer: 'shared-secret' } })
  t.same(problemOf(await bySecret.ask('/me', mint())), unauthorized, 'without latchkeyUrl')
})

t.test('issuers with a secret: their own users, and nothing by the key of another', async (t) => {
  const [own, other] = ['u7Wb2QxKp9RmZt4VnY6cLs8DfGh1JaEo', 'k3Hd5TgRq8WnXv1YbZ7mPc9SfJu2LeAo']
  const betterAuthUrl = 'http://app.example.com'
  const { ask } = await foreignApp(t, () => {}, {
    latchkeyUrl,
    secret,
    betterAuthUrl,
    betterAuthSecret: other,
    trustedIssuers: [{ issuer: 'machines', audience: 'things', secret: own }],
  })
  const { iat, exp } = goodClaims()
  const claims = { iss: 'machines', aud: 'things', sub: 'm1', iat, exp }
  const answer = await ask('/me', sign({ alg: 'HS256' }, claims, own))
  t.match(answer.json(), { owner: 'machines m1', user: { sub: 'm1', issuer: 'machines' } })
  const atFrontend = { ...claims, iss: betterAuthUrl, aud: betterAuthUrl }
  t.match((await ask('/me', sign({ alg: 'HS256' }, atFrontend, other))).json(), {
    owner: `${betterAuthUrl} m1`,
  })
  const crossed: Record<string, string> = {
    'the secret of the service': sign({ alg: 'HS256' }, claims, secret),
    'the secret of the frontend': sign({ alg: 'HS256' }, claims, other),
    'of the other at the frontend': sign({ alg: 'HS256' }, atFrontend, own),
    'as the service': sign({ alg: 'HS256', typ: 'at+jwt' }, goodClaims(), own),
    'without iss': sign({ alg: 'HS256' }, { ...claims, iss: undefined }, own),
    'another MAC': sign({ alg: 'HS512' }, claims, own, 'sha512'),
    'another audience': sign({ alg: 'HS256' }, { ...claims, aud: 'x' }, own),
  }
  for (const [label, token] of Object.entries(crossed)) {
    t.same(problemOf(await ask('/me', token)), unauthorized, label)
  }
})
