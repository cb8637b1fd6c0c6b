import t from 'tap'
import { password, problemOf, testApp } from '../../helper.ts'
import { exchange, listeningApp } from '../../support/wire.ts'

const development = { NODE_ENV: 'development', PUBLIC_URL: 'https://app.example.com/identity' }
const refused = { status: 403, code: 'host_not_allowed' }

t.test('development mode serves the names of its machine and of PUBLIC_URL, and no other', async (t) => {
  const app = await testApp(t, { env: development })
  const answers = (host: string) => app.inject({ url: '/health/live', headers: { host } })
  const allowed = [
    'localhost',
    'LOCALHOST:8000',
    'localhost.:8000',
    'tenant.localhost:3000',
    '127.0.0.1:8000',
    '127.1.2.3',
    '[::1]:8000',
    '[::ffff:127.0.0.1]',
    'app.example.com',
    'App.Example.com:8000',
  ]
  for (const host of allowed) t.equal((await answers(host)).statusCode, 200, host)
  const others = [
    'evil.example:8000',
    'localhost.evil.example',
    'evillocalhost',
    'evil.example#.localhost',
    'evil.example@localhost',
    'evil.example/localhost',
    '127.0.0.1.evil.example',
    'app.example.com.evil.example',
    'evil.app.example.com',
    '0.0.0.0:8000',
    '192.0.2.1',
    '[2001:db8::1]:8000',
  ]
  for (const host of others) t.match(problemOf(await answers(host)), refused, host)
})

t.test('DNS rebinding reads and changes nothing', async (t) => {
  const app = await testApp(t, { env: { ...development, CORS_ORIGINS: 'http://evil.example:8000' } })
  const headers = { host: 'evil.example:8000', origin: 'http://evil.example:8000' }
  const body = { email: 'a@example.com', password, name: 'A' }
  const requests = [
    { method: 'GET', url: '/dev/mailbox' },
    { method: 'GET', url: '/dev/account' },
    { method: 'GET', url: '/nope' },
    { method: 'DELETE', url: '/health/live' },
    { method: 'POST', url: '/api/auth/signup', payload: body },
    { method: 'POST', url: '/api/auth/password/forgot', payload: { email: body.email } },
  ] as const
  for (const request of requests) {
    t.match(problemOf(await app.inject({ ...request, headers })), refused, `${request.method} ${request.url}`)
  }
  const preflight = { ...headers, 'access-control-request-method': 'POST' }
  const asked = await app.inject({ method: 'OPTIONS', url: '/api/auth/signup', headers: preflight })
  t.match(problemOf(asked), refused, 'a preflight')
  t.same(await app.db.selectFrom('users').select('id').execute(), [])
})

t.test('the address of HOST is served; with a wildcard HOST, every address', async (t) => {
  const answers = async (HOST: string, host: string) => {
    const app = await testApp(t, { env: { ...development, HOST } })
    const { statusCode } = await app.inject({ url: '/health/live', headers: { host } })
    await app.close()
    return statusCode
  }
  t.equal(await answers('192.0.2.1', '192.0.2.1:8000'), 200)
  t.equal(await answers('192.0.2.1', '192.0.2.2:8000'), 403)
  t.equal(await answers('0.0.0.0', '192.0.2.1:8000'), 200, 'DNS rebinding needs a name')
  t.equal(await answers('0.0.0.0', 'evil.example:8000'), 403)
  t.equal(await answers('::', '[2001:db8::1]:8000'), 200)
})

t.test('HTTP/1.0 without a Host is served; other modes accept any Host', async (t) => {
  const app = await listeningApp(t, { env: development })
  t.equal((await exchange(app, 'GET /health/live HTTP/1.0\r\n\r\n')).status, 200)
  const rebound =
    'GET http://evil.example/health/live HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n'
  t.equal((await exchange(app, rebound)).status, 403, 'in absolute form')
  const empty = await exchange(app, 'GET /health/live HTTP/1.1\r\nHost:\r\nConnection: close\r\n\r\n')
  t.equal(empty.status, 403, 'an empty Host')
  await app.close()
  const production = { NODE_ENV: 'production', DATABASE_URL: 'postgres://unused' }
  for (const env of [{}, production]) {
    const other = await testApp(t, { env })
    const answer = await other.inject({ url: '/health/live', headers: { host: 'any.example' } })
    t.equal(answer.statusCode, 200)
    await other.close()
  }
})
