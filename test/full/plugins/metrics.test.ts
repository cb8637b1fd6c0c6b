import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { METHODS } from 'node:http'
import type { AddressInfo } from 'node:net'
import { connect, createServer } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { parse } from 'yaml'
import { buildApp } from '../../../src/app.ts'
import { securityEventNames } from '../../../src/audit.ts'
import { listenFault } from '../../../src/commands/faults.ts'
import { disconnectedDatabase } from '../../../src/db/disconnected.ts'
import { openPostgres } from '../../../src/db/postgres.ts'
import { budgets } from '../../../src/limits/budgets.ts'
import { problemCodes } from '../../../src/problem.ts'
import { type AppOptions, password, signUp, testApp, testConfig } from '../../helper.ts'
import { numberOf, type Sample, samplesOf } from '../../support/exposition.ts'
import type { Test } from '../../support/postgres.ts'
import { exchange, portOf } from '../../support/wire.ts'

const issuer = 'http://latchkey.test'
/** Where no database listens. */
const nobody = 'postgres://127.0.0.1:1/none'

async function scrape(app: FastifyInstance): Promise<Sample[]> {
  const answer = await fetch(`http://127.0.0.1:${app.metricsPort}/metrics`)
  if (answer.status !== 200) throw new Error(`/metrics answered ${answer.status}`)
  return samplesOf(await answer.text())
}

async function meteredApp(t: Test, { env, ...options }: AppOptions = {}) {
  return testApp(t, { env: { METRICS_PORT: '0', ...env }, ...options })
}

/** What came since an earlier scrape. */
async function since(app: FastifyInstance, before: readonly Sample[]) {
  const now = await scrape(app)
  return (name: string, labels: Record<string, string> = {}) =>
    (numberOf(now, name, labels) ?? 0) - (numberOf(before, name, labels) ?? 0)
}

const named = [
  'latchkey_http_requests_total',
  'latchkey_http_request_duration_seconds_bucket',
  'latchkey_problems_total',
  'latchkey_security_events_total',
  'latchkey_tokens_verified_total',
  'latchkey_revocations',
  'latchkey_revocations_age_seconds',
  'latchkey_hash_queue',
  'latchkey_mail_outbox',
  'latchkey_redis_up',
  'latchkey_rate_limited_total',
  'process_cpu_seconds_total',
  'process_resident_memory_bytes',
  'nodejs_eventloop_lag_p99_seconds',
]

t.test('GET /metrics has every series, those of closed labels from zero', async (t) => {
  const app = await meteredApp(t)
  await app.inject('/health/live')
  const samples = await scrape(app)
  for (const name of named)
    t.ok(
      samples.some((one) => one.name === name),
      name,
    )
  const valuesOf = (name: string, label: string) =>
    samples
      .filter((one) => one.name === name)
      .map(({ labels }) => labels[label])
      .sort()
  t.same(valuesOf('latchkey_problems_total', 'code'), [...problemCodes].sort())
  t.same(valuesOf('latchkey_security_events_total', 'event'), [...securityEventNames].sort())
  t.same(
    valuesOf('latchkey_rate_limited_total', 'limit'),
    [...Object.keys(budgets), 'idempotency_keys'].sort(),
  )
  t.equal(numberOf(samples, 'latchkey_tokens_verified_total', { issuer, result: 'accepted' }), 0)
  t.ok(Number.isNaN(numberOf(samples, 'latchkey_redis_up')), 'no Redis')
  t.equal(numberOf(samples, 'latchkey_signing_key_age_seconds'), undefined, 'no key pair')
  t.equal(numberOf(samples, 'latchkey_mail_outbox', { state: 'failed' }), 0)
})

t.test('without METRICS_PORT there is no listener, and the service itself has no such path', async (t) => {
  const app = await testApp(t)
  t.equal(app.metrics, null)
  t.equal(app.metricsPort, undefined)
  t.equal((await app.inject('/metrics')).statusCode, 404)
})

t.test('the listener answers GET and HEAD of /metrics alone, and closes with the app', async (t) => {
  const app = await meteredApp(t)
  const url = `http://127.0.0.1:${app.metricsPort}`
  const head = await fetch(`${url}/metrics?x`, { method: 'HEAD' })
  t.equal(head.status, 200)
  t.equal(head.headers.get('content-type'), 'text/plain; version=0.0.4; charset=utf-8')
  t.equal((await fetch(`${url}/`)).status, 404)
  t.equal((await fetch(`${url}/api/auth/me`)).status, 404)
  const posted = await fetch(`${url}/metrics`, { method: 'POST', body: 'x' })
  t.equal(posted.status, 405)
  t.equal(posted.headers.get('allow'), 'GET, HEAD')
  await app.close()
  await t.rejects(fetch(`${url}/metrics`))
})

t.test('requests are counted by route pattern, method and status, and problems by code', async (t) => {
  const app = await meteredApp(t)
  const alice = await signUp(app, 'alice')
  const before = await scrape(app)
  for (let n = 0; n < 3; n++) await alice.call('GET', alice.tasks)
  await alice.call('GET', `${alice.tasks}/999`)
  await alice.call('GET', '/api/user_01h00000000000000000000000/tasks')
  await app.inject('/nope')
  const grown = await since(app, before)
  const route = '/api/:user_id/tasks'
  t.equal(grown('latchkey_http_requests_total', { route, method: 'GET', status: '200' }), 3)
  t.equal(grown('latchkey_http_requests_total', { route, method: 'GET', status: '403' }), 1)
  t.equal(grown('latchkey_http_requests_total', { route: `${route}/:task_id`, status: '404' }), 1)
  t.equal(grown('latchkey_http_requests_total', { route: 'none', method: 'GET', status: '404' }), 1)
  t.equal(grown('latchkey_http_request_duration_seconds_count', { route }), 4)
  t.equal(grown('latchkey_http_request_duration_seconds_bucket', { route, le: '+Inf' }), 4)
  t.ok(grown('latchkey_http_request_duration_seconds_sum', { route }) > 0)
  for (const code of ['task_not_found', 'not_owner', 'not_found'])
    t.equal(grown('latchkey_problems_total', { code }), 1, code)
})

t.test('a scan of paths, methods, hosts, tokens and ids adds no series (I07)', async (t) => {
  const app = await meteredApp(t)
  const alice = await signUp(app, 'alice')
  await app.listen({ port: 0, host: '127.0.0.1' })
  const scan = async (from: number, count: number) => {
    for (let n = from; n < from + count; n++) {
      await app.inject({ url: `/scan/${n}.php?x=${n}`, headers: { host: `${n}.example.com` } })
      await app.inject({ url: `/api/user_${n}/tasks/${n}`, headers: { authorization: `Bearer ${n}.x.y` } })
      const payload = Buffer.from(JSON.stringify({ iss: `https://${n}.example.com` })).toString('base64url')
      await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer e30.${payload}.AA` } })
      await alice.call('GET', `/api/user_${n}/tasks`)
    }
  }
  // Each kind of garbage collection has its series once it has happened.
  const seriesOf = (samples: readonly Sample[]) =>
    samples
      .filter(({ name }) => !name.startsWith('nodejs_gc_'))
      .map(({ name, labels }) => name + JSON.stringify(labels))
  const untouched = await scrape(app)
  for (const method of ['GET', 'POST', 'PUT', 'DELETE'] as const)
    await app.inject({ method, url: `/scan/${method}` })
  t.same(seriesOf(await scrape(app)), seriesOf(untouched), 'not even the first path')
  for (const method of METHODS)
    if (method !== 'CONNECT') await app.inject({ method: method as 'GET', url: '/nope' })
  await exchange(app, 'NONSENSE / HTTP/1.1\r\n\r\n')
  await scan(0, 2)
  const before = await scrape(app)
  await scan(10, 250)
  await exchange(app, 'NONSENSE /again HTTP/1.1\r\n\r\n')
  const after = await scrape(app)
  t.same(seriesOf(after), seriesOf(before))
  const text = JSON.stringify(after)
  for (const secret of [alice.id, alice.email, 'scan', 'user_0', '.example.com', 'NONSENSE'])
    t.notOk(text.includes(secret), secret)
  const methods = new Set(after.map(({ labels }) => labels['method']))
  t.ok(methods.size <= 10, [...methods].join(' '))
})

t.test(
  'tokens are counted by issuer and result, security events and refusals of limits by name',
  async (t) => {
    const other = 'https://idp.example.com'
    const trusted = JSON.stringify([{ issuer: other, audience: issuer, secret: 'x'.repeat(32) }])
    const app = await meteredApp(t, {
      env: {
        RATE_LIMITS: 'on',
        RATE_LIMIT_LOGIN: '3/1m',
        RATE_LIMIT_ACCOUNT: '1/1m',
        TRUSTED_ISSUERS: trusted,
      },
    })
    const alice = await signUp(app, 'alice')
    const key = await alice.call('POST', '/api/auth/keys', {
      name: 'x',
      scopes: ['tasks:read'],
      expires_in_days: 1,
    })
    const before = await scrape(app)
    t.equal(numberOf(before, 'latchkey_tokens_verified_total', { issuer: other, result: 'accepted' }), 0)
    const withToken = (token: string) =>
      app.inject({ url: alice.tasks, headers: { authorization: `Bearer ${token}` } })
    await withToken(alice.token)
    await withToken(`${alice.token.slice(0, -4)}AAAA`)
    await withToken(key.json().key)
    await withToken('lk_pat_nonsense')
    await withToken('nonsense')
    await app.inject(alice.tasks)
    const claims = Buffer.from(JSON.stringify({ iss: other })).toString('base64url')
    const header = Buffer.from('{"alg":"HS256"}').toString('base64url')
    await withToken(`${header}.${claims}.AAAA`)
    const login = (wrong: string) =>
      app.inject({ method: 'POST', url: '/api/auth/login', payload: { email: alice.email, password: wrong } })
    t.equal((await login('wrong password 1')).statusCode, 401)
    t.equal((await login('wrong password 2')).statusCode, 429, 'the account')
    t.equal((await login(password)).statusCode, 429)
    t.equal((await login(password)).statusCode, 429, 'the address')
    const grown = await since(app, before)
    const tokens = (issuer: string, result: string) =>
      grown('latchkey_tokens_verified_total', { issuer, result })
    t.equal(tokens(issuer, 'accepted'), 1)
    t.equal(tokens(issuer, 'signature'), 1)
    t.equal(tokens('api-key', 'accepted'), 1)
    t.equal(tokens('api-key', 'key_checksum'), 1)
    t.equal(tokens('none', 'malformed'), 1)
    t.equal(tokens('none', 'missing'), 0, 'a request without a token')
    t.equal(tokens(other, 'signature'), 1)
    t.equal(grown('latchkey_security_events_total', { event: 'login_failed' }), 1)
    t.ok(grown('latchkey_security_events_total', { event: 'rate_limit_reached' }) >= 2)
    t.equal(grown('latchkey_rate_limited_total', { limit: 'account' }), 2)
    t.equal(grown('latchkey_rate_limited_total', { limit: 'login' }), 1)
    t.equal(grown('latchkey_problems_total', { code: 'rate_limited' }), 3)
  },
)

t.test('a request whose client leaves is counted as aborted', async (t) => {
  const arrived = new Promise<void>((resolve) => {
    t.teardown(() => resolve())
    arrive = resolve
  })
  const app = await meteredApp(t, {
    extend: (app) => {
      app.get('/slow', { config: { access: 'public' } }, async (request) => {
        arrive()
        await once(request.raw.socket, 'close')
        return ''
      })
    },
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const socket = connect(portOf(app), '127.0.0.1')
  socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n')
  await arrived
  socket.destroy()
  const labels = { route: '/slow', method: 'GET', status: 'aborted' }
  let samples = await scrape(app)
  while (numberOf(samples, 'latchkey_http_requests_total', labels) === undefined) samples = await scrape(app)
  t.equal(numberOf(samples, 'latchkey_http_requests_total', labels), 1)
})
let arrive = () => {}

t.test('gauges: revocations, mails, the age of the key that signs', async (t) => {
  let now = Math.floor(Date.now() / 1000)
  const app = await meteredApp(t, { env: { ALGORITHM: 'ES256' }, clock: () => now })
  const alice = await signUp(app, 'alice')
  await alice.call('POST', '/api/auth/logout')
  now += 60
  const samples = await scrape(app)
  t.equal(numberOf(samples, 'latchkey_revocations'), 1)
  t.ok((numberOf(samples, 'latchkey_revocations_age_seconds') ?? 99) < 60)
  t.equal(numberOf(samples, 'latchkey_signing_key_age_seconds'), 60)
  t.equal(numberOf(samples, 'latchkey_hash_queue', { state: 'waiting' }), 0)
  t.ok((numberOf(samples, 'latchkey_hash_queue', { state: 'free' }) ?? 0) > 1000)
})

t.test('while the database is away, a scrape has everything but the mails', async (t) => {
  const app = await meteredApp(t, { db: openPostgres({ url: nobody, poolSize: 1, onIdleError: () => {} }) })
  const samples = await scrape(app)
  t.equal(numberOf(samples, 'latchkey_revocations_age_seconds'), Number.POSITIVE_INFINITY)
  t.notOk(samples.some(({ name }) => name === 'latchkey_mail_outbox'))
  t.ok(samples.some(({ name }) => name === 'latchkey_hash_queue'))
})

t.test('a port in use stops the start with one line that names METRICS_PORT', async (t) => {
  const taken = createServer().listen(0, '127.0.0.1')
  await once(taken, 'listening')
  t.teardown(() => taken.close())
  const { port } = taken.address() as AddressInfo
  const config = testConfig({ METRICS_PORT: String(port) })
  const app = await buildApp(config, { db: disconnectedDatabase() })
  t.teardown(() => app.close())
  const error = await app.ready().then(
    () => undefined,
    (error: unknown) => error,
  )
  t.match(listenFault(error, config), {
    name: 'ConfigError',
    message: `METRICS_PORT ${port} is in use; set it to another one`,
  })
  t.throws(() => testConfig({ METRICS_PORT: '8000', PORT: '8000' }), {
    message: 'METRICS_PORT must differ from PORT',
  })
})

t.test('the alerts and the dashboard use metrics that exist, and docs/operations.md has each', async (t) => {
  const app = await meteredApp(t, { env: { ALGORITHM: 'ES256' } })
  const text = await (await fetch(`http://127.0.0.1:${app.metricsPort}/metrics`)).text()
  const served = new Set([...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name))
  const rules = readFileSync('deploy/prometheus-rules.yml', 'utf8')
  const dashboard = readFileSync('deploy/grafana-dashboard.json', 'utf8')
  for (const file of [rules, dashboard]) {
    const used = [...file.matchAll(/\b(latchkey|process|nodejs)_\w+/g)].map(([name]) => name)
    t.ok(used.length > 10)
    const unknown = used.filter((name) => !served.has(name.replace(/_bucket$/, '')))
    t.same(unknown, [])
  }
  const operations = readFileSync('docs/operations.md', 'utf8')
  for (const name of served)
    if (/^latchkey_/.test(name ?? '')) t.ok(operations.includes(`\`${name}`), String(name))
  const alerts = parse(rules).groups[0].rules.map(({ alert }: { alert: string }) => alert)
  t.ok(alerts.length > 10)
  for (const alert of alerts) t.ok(operations.includes(`\`${alert}\``), alert)
  t.ok(JSON.parse(dashboard).panels.length > 10)
})
