import type { FastifyInstance, InjectOptions } from 'fastify'
import t from 'tap'
import { problemOf, registeredRoutes, testApp, twoUsers } from '../../../../helper.ts'
import { deskOf, deskEnv as env, foreignToken, on } from '../../../../support/desk.ts'
import { basic, form } from '../../../../support/service-client.ts'

/** What a client sees, without what differs between any two requests. */
async function seen(app: FastifyInstance, request: InjectOptions) {
  const { statusCode, headers, body } = await app.inject(request)
  const varying = ['x-request-id', 'date', 'ratelimit-remaining', 'ratelimit-reset', 'retry-after']
  const kept = Object.entries(headers).filter(([name]) => !varying.includes(name))
  return {
    statusCode,
    headers: Object.fromEntries(kept),
    body: body.replaceAll(`${headers['x-request-id']}`, 'id'),
  }
}

const adminRoutes = (app: FastifyInstance) =>
  registeredRoutes(app).filter(({ url }) => url.startsWith('/api/admin/'))

t.test('a stranger gets the answer of a path that does not exist', async (t) => {
  const { app, alice } = await twoUsers(t, {
    // More than the calls below, which are to reach the router.
    env: { ...env, RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '100000/1m', CORS_ORIGINS: 'https://a.example' },
  })
  const headersOf: Record<string, Record<string, string>> = {
    nobody: {},
    'a user': { authorization: `Bearer ${alice.token}` },
    'a foreign user': { authorization: `Bearer ${foreignToken('eve')}` },
    'a wrong secret': { authorization: basic('desk', 'wrong') },
    'an unknown client': { authorization: basic('nobody') },
    'a malformed header': { authorization: 'Basic x' },
    'a forged token': { authorization: `Bearer ${alice.token}x` },
    'an API key': { authorization: 'Bearer lk_pat_0000000000000000000000000000000000EX' },
    preflight: { origin: 'https://a.example', 'access-control-request-method': 'POST' },
  }
  const routes = adminRoutes(app)
  t.ok(routes.length >= 10)
  for (const [who, headers] of Object.entries(headersOf)) {
    for (const { url } of routes) {
      const path = url.replace(':user_id', who === 'nobody' ? 'x'.repeat(300) : alice.id)
      for (const method of ['GET', 'HEAD', 'POST', 'PUT', 'DELETE', 'OPTIONS'] as const) {
        const payload = method === 'GET' || method === 'HEAD' ? {} : { payload: '{"broken' }
        const type = method === 'POST' ? { 'content-type': 'application/json' } : {}
        const ask = (to: string) =>
          seen(app, { method, url: to, headers: { ...headers, ...type }, ...payload })
        const answer = await ask(path)
        t.strictSame(
          answer,
          await ask(path.replace('/api/admin', '/api/nothing')),
          `${who}: ${method} ${url}`,
        )
      }
    }
  }
})

t.test('the calls of a stranger count as those for any unknown path', async (t) => {
  const app = await testApp(t, { env: { ...env, RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '3/1m' } })
  const ask = (url: string, authorization?: string) =>
    app.inject({ url, ...(authorization ? { headers: { authorization } } : {}) })
  for (const url of ['/api/admin/users', '/api/nothing', '/api/admin/users'])
    t.equal((await ask(url)).statusCode, 404)
  for (const url of ['/api/admin/users', '/api/nothing']) t.equal((await ask(url)).statusCode, 429)
  t.equal((await ask('/api/admin/users', basic('desk'))).statusCode, 200, 'a service client has no limit')
})

t.test('each scope opens its own half', async (t) => {
  const { app, alice } = await twoUsers(t, { env })
  const forbidden = { status: 403, code: 'insufficient_scope' }
  const [reader, writer] = [deskOf(app, 'reader'), deskOf(app, 'writer')]
  t.equal((await reader('GET', 'users')).statusCode, 200)
  t.equal((await writer('POST', on(alice.id, 'sessions/end'))).statusCode, 204)
  for (const { method, url } of adminRoutes(app)) {
    const path = url.replace('/api/admin/', '').replace(':user_id', alice.id)
    const refused = method === 'POST' ? reader : writer
    const answer = await refused(method, path)
    t.equal(answer.statusCode, 403, `${method} ${url}`)
    if (method !== 'HEAD') t.match(problemOf(answer), forbidden)
    const other = await deskOf(app, 'neighbour')(method, path)
    t.equal(other.statusCode, 403)
  }
})

t.test('an access token of the client does the same, as far as it was narrowed', async (t) => {
  const app = await testApp(t, { env })
  const tokenFor = async (scope: string) => {
    const parameters = { grant_type: 'client_credentials', scope }
    const answer = await app.inject(form('/oauth/token', parameters, { authorization: basic('desk') }))
    return `Bearer ${answer.json().access_token}`
  }
  const list = async (authorization: string) =>
    (await app.inject({ url: '/api/admin/users', headers: { authorization } })).statusCode
  t.equal(await list(await tokenFor('admin:read')), 200)
  t.equal(await list(await tokenFor('admin:write')), 403)
})
