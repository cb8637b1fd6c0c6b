import t from 'tap'
import { basePathOf, withoutBasePath } from '../../../src/http/base-path.ts'
import { problemOf, testApp, twoUsers, unauthorized } from '../../helper.ts'

const prefixed = { PUBLIC_URL: 'https://api.example.com/latchkey' }

t.test('a prefix is removed once, case-sensitively, and only as whole segments', async (t) => {
  const removed = (target: string) => withoutBasePath('/latchkey', target, () => false)
  const targets = {
    '/latchkey/api/auth/me': '/api/auth/me',
    '/latchkey': '/',
    '/latchkey/': '/',
    '/latchkey?a=/latchkey/b': '/?a=/latchkey/b',
    '/latchkey/latchkey/api': '/latchkey/api',
    '/latchkey//api': '//api',
    '/latchkey/../api': '/../api',
  }
  for (const [target, rest] of Object.entries(targets)) t.equal(removed(target), rest, target)
  const others = [
    '/api/auth/me',
    '/latchkeyx/api',
    '/latchkey%2fapi',
    '/latchkey;x/api',
    '/Latchkey/api',
    '/%6catchkey/api',
    '//latchkey/api',
    '/x/latchkey/api',
    'http://latchkey/latchkey/api',
    '*',
    '',
  ]
  for (const target of others) t.equal(removed(target), target, target)
  t.equal(
    withoutBasePath('/a/b', '/a/b/c', () => false),
    '/c',
  )
  t.equal(basePathOf('https://x.example/a/b/'), '/a/b')
  t.equal(basePathOf('https://x.example'), '')
})

t.test('a request gets the same answer with the prefix and without it', async (t) => {
  const { alice, bob } = await twoUsers(t, { env: prefixed })
  for (const sent of ['', '/latchkey']) {
    const made = await alice.call('POST', `${sent}${alice.tasks}`, { title: 'x' })
    t.equal(made.statusCode, 201)
    t.equal(made.headers['location'], `/latchkey${alice.tasks}/${made.json().id}`)
    const followed = await alice.call('GET', String(made.headers['location']))
    t.match(followed.json(), { title: 'x' }, 'by a gateway that keeps the prefix, Location leads there')
    await alice.call('POST', `${sent}${alice.tasks}`, { title: 'y' })
    const page = await alice.call('GET', `${sent}${alice.tasks}?limit=1`)
    const [, next] = /^<(\/latchkey\/api\/[^>]+)>; rel="next"$/.exec(String(page.headers['link'])) ?? []
    t.equal((await alice.call('GET', String(next))).statusCode, 200, 'and so does Link')
    t.match(problemOf(await bob.call('GET', `${sent}${alice.tasks}`)), { code: 'not_owner' })
    t.match(problemOf(await bob.call('GET', `${sent}/nope`)), { code: 'not_found' })
    t.match(problemOf(await bob.call('DELETE', `${sent}/health/live`)), { code: 'method_not_allowed' })
  }
})

t.test('no spelling of the prefix bypasses the guard', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: prefixed })
  const spellings = [
    '/latchkey/latchkey',
    '/latchkey/',
    '//latchkey',
    '/latchkeyx',
    '/%6catchkey',
    '/latchkey%2f',
    '/LATCHKEY',
    '/latchkey;',
    '/latchkey\\',
  ]
  for (const spelling of spellings) {
    const url = `${spelling}${alice.tasks}`
    t.equal((await bob.call('GET', url)).statusCode, 404, url)
    t.equal((await app.inject(url)).statusCode, 404, url)
  }
  t.match(problemOf(await app.inject(`/latchkey${alice.tasks}`)), unauthorized)
})

t.test('limits and the log use the route without the prefix', async (t) => {
  const lines: string[] = []
  const env = { ...prefixed, RATE_LIMITS: 'on', RATE_LIMIT_LOGIN: '2/1m', LOG_LEVEL: 'info' }
  const app = await testApp(t, { env, log: (line) => lines.push(line) })
  const payload = { email: 'nobody@example.com', password: 'correct horse battery' }
  const login = (prefix: string) => app.inject({ method: 'POST', url: `${prefix}/api/auth/login`, payload })
  for (const [at, status] of [401, 401, 429, 429].entries()) {
    t.equal((await login(at % 2 ? '' : '/latchkey')).statusCode, status, 'one budget')
  }
  for (let at = 0; at < 3; at++) {
    const { headers } = await app.inject('/latchkey/health/live')
    t.notOk('ratelimit-limit' in headers, 'a health check has no limit there either')
  }
  const requests = lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === 'request')
  t.match(requests.slice(0, 4), Array(4).fill({ route: '/api/auth/login' }))
})

t.test('a prefix that routes begin with is removed only where it is the prefix', async (t) => {
  for (const path of ['/api', '/health', '/docs', '/api/auth']) {
    const { app, alice, bob } = await twoUsers(t, { env: { PUBLIC_URL: `https://x.example${path}` } })
    for (const sent of ['', path]) {
      t.equal((await alice.call('GET', `${sent}/api/auth/me`)).statusCode, 200, `${path}: ${sent}`)
      t.equal((await alice.call('GET', `${sent}/health/live`)).statusCode, 200, `${path}: ${sent}`)
      t.equal((await alice.call('GET', `${sent}${alice.tasks}`)).statusCode, 200, `${path}: ${sent}`)
      t.equal((await bob.call('GET', `${sent}${alice.tasks}`)).statusCode, 403, `${path}: ${sent}`)
    }
    await app.close()
  }
})
