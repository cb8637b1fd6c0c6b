import { Readable } from 'node:stream'
import Fastify, { type FastifyInstance, type LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { type Access, latchkeyAuth } from '../../plugins/auth.ts'
import { resources } from '../../src/resources/index.ts'
import { problemOf, registeredRoutes, secret, testApp, twoUsers, unauthorized } from '../helper.ts'
import { exampleOfResource, routesOfResource } from '../support/examples.ts'
import { mint } from '../support/mint.ts'

const notOwner = { ...unauthorized, title: 'Forbidden', status: 403, code: 'not_owner' }
notOwner.detail = 'Not authorized to access this resource'

/** The policy as a reviewer reads it. A route that is not listed fails the test below. */
const policy: Record<string, Access | 'hidden'> = {
  'POST /api/auth/signup': 'public',
  'POST /api/auth/login': 'public',
  'POST /api/auth/login/second-factor': 'public',
  'POST /api/auth/reauthenticate': 'user',
  'GET /api/auth/mfa': 'user',
  'POST /api/auth/mfa/totp': 'user',
  'POST /api/auth/mfa/totp/confirm': 'user',
  'POST /api/auth/mfa/totp/delete': 'user',
  'POST /api/auth/mfa/recovery-codes': 'user',
  'POST /api/auth/refresh': 'public',
  'POST /api/auth/logout': 'user',
  'GET /api/auth/sessions': 'user',
  'DELETE /api/auth/sessions/:session_id': 'user',
  'PUT /api/auth/password': 'user',
  'POST /api/auth/password/forgot': 'public',
  'POST /api/auth/password/reset': 'public',
  'POST /api/auth/email/verify': 'public',
  'POST /api/auth/email/resend': 'public',
  'PUT /api/auth/email': 'user',
  'GET /api/auth/me': 'user',
  'GET /api/auth/me/export': 'user',
  'PATCH /api/auth/me': 'user',
  'POST /api/auth/me/delete': 'user',
  'POST /api/auth/keys': 'user',
  'GET /api/auth/keys': 'user',
  'DELETE /api/auth/keys/:key_id': 'user',
  ...Object.fromEntries(
    resources.flatMap(routesOfResource).map(({ name }): [string, Access] => [name, 'owner']),
  ),
  // By any method.
  'GET /gateway/verify': 'gateway',
  'POST /oauth/token': 'public',
  'POST /oauth/introspect': 'service',
  'POST /oauth/revoke': 'public',
  'GET /gateway/revocations': 'service',
  'GET /api/events': 'service',
  // For service clients; anybody else gets 404 (test/full/routes/api/admin/strangers.test.ts).
  'GET /api/admin/users': 'hidden',
  'GET /api/admin/users/:user_id': 'hidden',
  'POST /api/admin/users/:user_id/ban': 'hidden',
  'POST /api/admin/users/:user_id/unban': 'hidden',
  'POST /api/admin/users/:user_id/sessions/end': 'hidden',
  'POST /api/admin/users/:user_id/mfa/reset': 'hidden',
  'POST /api/admin/users/:user_id/delete': 'hidden',
  'POST /api/admin/users/:user_id/password/reset': 'hidden',
  'POST /api/admin/invitations': 'hidden',
  'GET /api/admin/events': 'hidden',
  'GET /.well-known/jwks.json': 'public',
  'GET /.well-known/openid-configuration': 'public',
  'GET /.well-known/oauth-authorization-server': 'public',
  'GET /health/live': 'public',
  'GET /health/ready': 'public',
  'GET /openapi.json': 'public',
  'GET /openapi.yaml': 'public',
  'GET /docs': 'public',
}

/** Valid bodies, so that only the guard can refuse. */
const bodies: Record<string, object> = {
  'POST /api/auth/reauthenticate': { password: 'password123' },
  'POST /api/auth/mfa/totp': { password: 'password123' },
  'POST /api/auth/mfa/totp/confirm': { code: '123456' },
  'POST /api/auth/mfa/totp/delete': { code: '123456' },
  'POST /api/auth/mfa/recovery-codes': { code: '123456' },
  'PUT /api/auth/password': { current_password: 'password123', new_password: 'password1234' },
  'PUT /api/auth/email': { new_email: 'x@example.com', password: 'password123' },
  'PATCH /api/auth/me': { name: 'x' },
  'POST /api/auth/me/delete': { password: 'password123' },
  'POST /api/auth/keys': { name: 'x', scopes: ['tasks:read'], expires_in_days: 1 },
  ...Object.fromEntries(
    resources
      .flatMap(routesOfResource)
      .filter(({ operation }) => operation === 'create' || operation === 'change')
      .map(({ name, resource }) => [name, exampleOfResource(resource)]),
  ),
}

/** The routes of the router, HEAD and all methods of /gateway/verify as GET, the pages of /docs as /docs. */
function routesOf(app: FastifyInstance) {
  return registeredRoutes(app).map(({ method, url }) => ({
    method,
    url,
    name: `${method === 'HEAD' || url === '/gateway/verify' ? 'GET' : method} ${url.replace(/^\/docs.*/, '/docs')}`,
  }))
}

t.test('every registered route refuses anonymous callers and other users (F01)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const routes = routesOf(app)
  t.same([...new Set(routes.map(({ name }) => name))].sort(), Object.keys(policy).sort())

  for (const { method, url, name } of routes) {
    const access = policy[name]
    if (access === 'public') continue
    const body = bodies[name]
    const path = url.replace(/:(?!user_id)\w+_id$/, '1')
    const label = `${method} ${url}`

    const own = path.replace(':user_id', alice.id)
    const request = { method: method as 'GET', url: own, ...(body ? { payload: body } : {}) }
    const anonymous = await app.inject(request)
    if (access === 'hidden') {
      for (const { statusCode } of [anonymous, await alice.call(method, own, body)])
        t.equal(statusCode, 404, label)
      continue
    }
    t.equal(anonymous.statusCode, 401, label)
    const challenge = access === 'service' ? 'Basic realm="latchkey"' : 'Bearer'
    t.equal(anonymous.headers['www-authenticate'], challenge, label)
    if (method !== 'HEAD' && access !== 'service') t.same(problemOf(anonymous), unauthorized, label)

    if (access === 'service' && method !== 'HEAD') {
      const user = await alice.call(method, own, body)
      t.same([user.statusCode, user.json().code], [401, 'invalid_client'], label)
    }

    if (access !== 'owner') continue
    for (const stranger of [
      alice.id,
      'user_01kb3v5rs1e2wbhx4hrsz3zj5e',
      'different_user',
      alice.id.toUpperCase(),
    ]) {
      const refused = await bob.call(method, path.replace(':user_id', stranger), body)
      t.equal(refused.statusCode, 403, label)
      if (method !== 'HEAD') t.same(problemOf(refused), notOwner, label)
    }
  }
  t.same((await alice.call('GET', alice.tasks)).json(), [], 'nothing was written')
})

t.test('the contract has every route and its access', async (t) => {
  const app = await testApp(t)
  const document = (await app.inject('/openapi.json')).json()
  const seen = new Set(routesOf(app).map(({ name }) => name))
  const scopes = new Map<string, string>(
    resources.flatMap(routesOfResource).map(({ name, scope }) => [name, scope]),
  )

  for (const [path, operations] of Object.entries<Record<string, Record<string, unknown>>>(document.paths)) {
    for (const [method, operation] of Object.entries(operations)) {
      const name = `${method.toUpperCase()} ${path.replace(/\{(\w+)\}/g, ':$1')}`
      const access = policy[name]
      t.ok(seen.has(name), `${name} is served`)
      const takesKeys = access === 'owner'
      const usual = [{ bearer: [] }, ...(takesKeys ? [{ api_key: [] }] : [])]
      const security = {
        public: [],
        gateway: [{}, { bearer: [] }],
        service: [{ client: [] }, { bearer: [] }],
        hidden: [{ client: [] }, { bearer: [] }],
      }[access as string]
      t.same(operation['security'], security ?? usual, name)
      if (access !== 'service' && access !== 'hidden') {
        t.same(operation['x-scopes'], takesKeys ? [scopes.get(name)] : undefined, name)
      }
      const responses = operation['responses'] as Record<string, object>
      const statuses = Object.keys(responses)
      const refused = access === 'hidden' ? '404' : '401'
      t.equal(statuses.includes(refused) && access !== 'public', access !== 'public', name)
      const refusals = JSON.stringify(responses['403'] ?? {})
      t.equal(refusals.includes('not_owner'), access === 'owner' || access === 'gateway', name)
      t.equal(refusals.includes('insufficient_scope'), access !== 'public', name)
    }
  }
})

/** A service with the guard and one route. */
async function guarded(route: {
  method?: string
  url: string
  access?: unknown
  withoutSecondFactor?: boolean
  hidden?: boolean
}) {
  const app = Fastify()
  await app.register(latchkeyAuth, { secret })
  app.route({
    method: route.method ?? 'GET',
    url: route.url,
    config: {
      access: route.access as Access,
      withoutSecondFactor: route.withoutSecondFactor ?? false,
      hidden: route.hidden ?? false,
    },
    handler: async () => 'ok',
  })
  await app.ready()
}

t.test('a route with a missing or invalid declaration stops the start', async (t) => {
  await t.rejects(guarded({ url: '/a' }), { message: /^GET \/a: config\.access must be/ })
  await t.rejects(guarded({ url: '/a', access: 'admin' }), { message: /^GET \/a: config\.access must be/ })
  await t.rejects(guarded({ url: '/a', access: 'toString' }), { message: /^GET \/a: config\.access must be/ })
  await t.rejects(guarded({ url: '/a', access: 'owner' }), {
    message: /^GET \/a: access "owner" needs :user_id/,
  })
  for (const access of ['public', 'optional', 'user']) {
    const route = { method: 'DELETE', url: '/a/:user_id/b', access }
    await t.rejects(guarded(route), {
      message: /^DELETE \/a\/:user_id\/b: a path with :user_id needs access "owner" or "service"$/,
    })
  }
  await t.rejects(guarded({ url: '/a/:folder-:user_id', access: 'user' }), {
    message: /needs access "owner"/,
  })
  await t.rejects(guarded({ url: '/a', access: 'service' }), {
    message: 'GET /a: access "service" needs config.scope',
  })
  await t.rejects(guarded({ url: '/a', access: 'gateway' }), { message: /needs request\.verifyForGateway/ })
  await t.rejects(guarded({ url: '/a', access: 'public', withoutSecondFactor: true }), {
    message: /^GET \/a: config\.withoutSecondFactor needs access/,
  })
  await t.rejects(guarded({ url: '/a', access: 'user', hidden: true }), {
    message: 'GET /a: config.hidden needs access "service"',
  })
  await t.resolves(guarded({ url: '/a', access: 'public' }))
  await t.resolves(guarded({ url: '/a/::user_id', access: 'user' }), 'a colon is not a parameter')
  await t.resolves(guarded({ url: '/a/:user_ids', access: 'user' }), 'another parameter is not an owner')
})

t.test('a session that ends while a body arrives is refused, on every kind of route (B10)', async (t) => {
  const { app, alice, bob } = await twoUsers(t, {
    extend: (app) => {
      app.post('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({
        sub: user?.sub ?? null,
      }))
    },
  })
  /** Sends a request whose body is completed after `end`, when its token has been verified already. */
  async function slowly(
    user: typeof alice,
    method: string,
    url: string,
    body: object,
    end: () => Promise<unknown>,
  ) {
    const [first = '', rest = ''] = JSON.stringify(body).split(/(?<=^.)/)
    async function* chunks() {
      yield first
      await end()
      yield rest
    }
    return user.call(method, url, Readable.from(chunks()), {
      headers: { 'content-type': 'application/json' },
    })
  }
  const routes: [string, string, object, number][] = [
    ['POST', alice.tasks, { title: 'x' }, 201],
    ['PATCH', '/api/auth/me', { name: 'x' }, 200],
    ['POST', '/greeting', {}, 200],
  ]
  for (const [method, url, body, status] of routes) {
    const live = await slowly(alice, method, url, body, async () => {})
    t.equal(live.statusCode, status, `${method} ${url}`)
  }
  const logOut = () => alice.call('POST', '/api/auth/logout')
  const answers = await Promise.all(
    routes.map(([method, url, body]) => slowly(alice, method, url, body, logOut)),
  )
  t.same(
    answers.map(({ statusCode }) => statusCode),
    [401, 401, 200],
  )
  t.same(problemOf(answers[0] as LightMyRequestResponse), unauthorized)
  t.equal(answers[0]?.headers['www-authenticate'], 'Bearer error="invalid_token"')
  t.same(answers[2]?.json(), { sub: null })
  t.equal((await slowly(bob, 'PATCH', '/api/auth/me', { name: 'y' }, logOut)).statusCode, 200)
  const { rows } = await sql`select title from tasks where user_id = ${alice.id}`.execute(app.db)
  t.same(rows, [{ title: 'x' }], 'only the request before the logout was served')
})

t.test('a token that expires while a body arrives is refused', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { alice } = await twoUsers(t, { clock: () => now })
  async function* body() {
    yield '{"name":'
    now += 15 * 60 + 31
    yield '"x"}'
  }
  const headers = { 'content-type': 'application/json' }
  const answer = await alice.call('PATCH', '/api/auth/me', Readable.from(body()), { headers })
  t.same(problemOf(answer), unauthorized)
})

t.test('access optional reads a valid token and never refuses', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const { app, alice } = await twoUsers(t, {
    clock: () => now,
    extend: (app) => {
      app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({
        sub: user?.sub ?? null,
      }))
      app.get('/forgotten', { config: { access: 'optional' } }, async (request) => ({ owner: request.owner }))
    },
  })
  const greet = async (authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization }
    const answer = await app.inject({ url: '/greeting', headers })
    return [answer.statusCode, answer.json().sub]
  }

  t.same(await greet(`Bearer ${alice.token}`), [200, alice.id])
  t.same(await greet(), [200, null], 'no token')
  for (const bad of [
    'Bearer',
    'Bearer x',
    'Basic YTpi',
    `Bearer ${alice.token}x`,
    `Bearer ${mint({ alg: 'none' })}`,
  ]) {
    t.same(await greet(bad), [200, null], bad)
  }
  t.equal(
    (await alice.call('GET', '/forgotten')).statusCode,
    500,
    'no owner is granted, even for a good token',
  )
  now += 15 * 60 + 31
  t.same(await greet(`Bearer ${alice.token}`), [200, null], 'expired')
})
