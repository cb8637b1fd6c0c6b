import t from 'tap'
import { problemOf, testApp, twoUsers } from '../../helper.ts'

const origin = 'https://app.example.com'
const preflight = {
  'access-control-request-method': 'POST',
  'access-control-request-headers': 'authorization',
}

const others = [
  'https://evil.example',
  'null',
  'https://app.example.com.evil.example',
  'https://evil-app.example.com',
  'https://app.example.com:8443',
  'http://app.example.com',
  'https://APP.example.com',
  'https://app.example.com/',
  '*',
]

function corsHeaders(headers: Record<string, unknown>): string[] {
  return Object.keys(headers).filter((name) => name.startsWith('access-control-'))
}

t.test('an allowed origin is returned exactly, on success and on errors (G16)', async (t) => {
  const { app, alice } = await twoUsers(t, { env: { CORS_ORIGINS: `${origin}, http://localhost:3000` } })
  for (const allowed of [origin, 'http://localhost:3000']) {
    const ok = await alice.call('GET', alice.tasks, undefined, { headers: { origin: allowed } })
    t.equal(ok.statusCode, 200)
    t.equal(ok.headers['access-control-allow-origin'], allowed)
    t.match(ok.headers['vary'], /\borigin\b/i)
    t.match(ok.headers['access-control-expose-headers'], /link/)
    t.equal(ok.headers['access-control-allow-credentials'], undefined)
  }
  for (const url of [alice.tasks, '/nope', '/api/auth/me']) {
    const refused = await app.inject({ url, headers: { origin } })
    t.ok(refused.statusCode >= 400)
    t.equal(refused.headers['access-control-allow-origin'], origin, `${url}: a page can read the error`)
  }

  const asked = await app.inject({ method: 'OPTIONS', url: alice.tasks, headers: { origin, ...preflight } })
  t.equal(asked.statusCode, 204)
  t.equal(asked.headers['access-control-allow-origin'], origin)
  t.match(asked.headers['access-control-allow-methods'], /PATCH/)
  t.match(asked.headers['access-control-allow-headers'], /authorization/)
  t.equal(asked.body, '')
})

t.test('any other origin gets no CORS header, and 405 for a preflight (G14, G16)', async (t) => {
  const { app, alice } = await twoUsers(t, { env: { CORS_ORIGINS: origin } })
  for (const other of [undefined, ...others]) {
    const headers = other === undefined ? {} : { origin: other }
    const label = other ?? 'no origin'
    const answer = await alice.call('GET', alice.tasks, undefined, { headers })
    t.equal(answer.statusCode, 200, `${other}: CORS is enforced by the browser`)
    t.same(corsHeaders(answer.headers), [], label)
    t.match(answer.headers['vary'], /\borigin\b/i, 'caches must distinguish origins')

    const asked = await app.inject({
      method: 'OPTIONS',
      url: alice.tasks,
      headers: { ...headers, ...preflight },
    })
    t.equal(asked.statusCode, 405, label)
    t.equal(asked.headers['allow'], 'GET, HEAD, POST', label)
    t.same(corsHeaders(asked.headers), [], label)
  }
  const nowhere = await app.inject({ method: 'OPTIONS', url: '/nope', headers: preflight })
  t.match(problemOf(nowhere), { status: 404, code: 'not_found' })
  t.equal((await app.inject('/nope')).statusCode, 404)
})

t.test('without CORS_ORIGINS no origin is allowed (G16)', async (t) => {
  const app = await testApp(t)
  for (const other of [origin, ...others]) {
    const answer = await app.inject({ url: '/health/live', headers: { origin: other } })
    t.same(corsHeaders(answer.headers), [], other)
    const asked = await app.inject({
      method: 'OPTIONS',
      url: '/health/live',
      headers: { origin: other, ...preflight },
    })
    t.equal(asked.statusCode, 405, other)
  }
})

const apps = ['capacitor://localhost', 'chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjai']

t.test('an origin of another scheme is compared exactly (G16)', async (t) => {
  const app = await testApp(t, { env: { CORS_ORIGINS: apps.join(',') } })
  for (const allowed of apps) {
    const { headers } = await app.inject({ url: '/nope', headers: { origin: allowed } })
    t.equal(headers['access-control-allow-origin'], allowed)
  }
  const others = [
    'null',
    'file://',
    'capacitor://localhost:80',
    'capacitor://localhost.evil.example',
    'capacitor://evil.localhost',
    'capacitor://localhost/',
    'CAPACITOR://localhost',
    'ionic://localhost',
    'https://localhost',
    'chrome-extension://mhjfbmdgcfjbbpaeojofohoefgiehjaj',
  ]
  for (const other of others) {
    const { headers } = await app.inject({ url: '/nope', headers: { origin: other } })
    t.same(corsHeaders(headers), [], other)
    const asked = await app.inject({
      method: 'OPTIONS',
      url: '/health/live',
      headers: { origin: other, ...preflight },
    })
    t.same([asked.statusCode, corsHeaders(asked.headers)], [405, []], other)
  }
})

t.test('a page may send the usual request headers, and read the response headers', async (t) => {
  const { app, alice, bob } = await twoUsers(t, {
    env: { CORS_ORIGINS: origin, RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '100/1m' },
  })
  const wanted =
    'authorization,baggage,content-type,idempotency-key,if-match,if-none-match,sentry-trace,traceparent,x-request-id'
  const asked = await app.inject({
    method: 'OPTIONS',
    url: alice.tasks,
    headers: { origin, ...preflight, 'access-control-request-headers': wanted },
  })
  t.equal(asked.statusCode, 204)
  t.equal(asked.headers['access-control-allow-headers'], wanted)
  t.match(asked.headers['vary'], /access-control-request-headers/i)
  t.equal(asked.headers['access-control-allow-credentials'], undefined)
  for (const user of [alice, bob]) {
    const answer = await user.call('POST', user.tasks, { title: 'x' }, { headers: { origin } })
    const exposed = String(answer.headers['access-control-expose-headers']).split(', ')
    const safelisted = ['cache-control', 'content-length', 'content-type']
    const read = Object.keys(answer.headers).filter((name) =>
      /^(ratelimit|etag|location|x-request)/.test(name),
    )
    t.equal(read.length, 6, `${read}`)
    for (const name of read) t.ok(exposed.includes(name) || safelisted.includes(name), name)
    t.notOk(exposed.includes('*'))
  }
})

t.test('a preflight counts once against its address, from any origin', async (t) => {
  const max = 4
  const env = { CORS_ORIGINS: origin, RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: `${max}/1m` }
  const app = await testApp(t, { env })
  const limited = { status: 429, code: 'rate_limited' }
  for (const [at, sent] of [origin, 'https://evil.example', undefined].entries()) {
    const remoteAddress = `192.0.2.${at}`
    const headers = { ...preflight, ...(sent === undefined ? {} : { origin: sent }) }
    const ask = () => app.inject({ method: 'OPTIONS', url: '/api/auth/login', headers, remoteAddress })
    for (let count = 0; count < max; count++) {
      const { statusCode, headers } = await ask()
      t.equal(statusCode, sent === origin ? 204 : 405, `${sent}: ${count}`)
      t.equal(headers['ratelimit-remaining'], String(max - count - 1))
    }
    const refused = await ask()
    t.match(problemOf(refused), limited, `${sent}`)
    t.match(refused.headers['retry-after'], /^\d+$/)
    t.match(problemOf(await app.inject({ url: '/nowhere', remoteAddress })), limited, 'one budget for all')
  }
  t.equal((await app.inject({ url: '/openapi.json', headers: { origin } })).statusCode, 200)
})

t.test('an invalid OPTIONS request that is no preflight gets a problem response', async (t) => {
  const app = await testApp(t, { env: { CORS_ORIGINS: origin } })
  const url = `/${'x'.repeat(8_000)}`
  t.match(problemOf(await app.inject({ method: 'OPTIONS', url })), { status: 414, code: 'uri_too_long' })
})
