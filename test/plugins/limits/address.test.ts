import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import rateLimit from '../../../plugins/limits/address.ts'
import { budgets } from '../../../src/limits/budgets.ts'
import { problemOf, testApp, twoUsers } from '../../helper.ts'

const limited = { status: 429, code: 'rate_limited', detail: 'Too many requests' }
const login = { method: 'POST', url: '/api/auth/login', payload: { email: 'a@example.com' } } as const

/** Sends requests until one is limited. @returns how many passed, at most `max` */
async function untilLimited(app: FastifyInstance, max: number, request: object) {
  for (let count = 0; count <= max; count++) {
    const answer = await app.inject(request)
    if (answer.statusCode === 429) return { count, answer }
  }
  throw new Error(`${max} requests and no limit`)
}

t.test('login, unknown paths and all other routes have a budget per address', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  // An invalid body is counted too, and computes no hash.
  const { count, answer } = await untilLimited(app, 100, login)
  t.equal(count, budgets.login.max)
  t.match(problemOf(answer), limited)
  t.match(answer.headers['retry-after'], /^\d+$/)
  t.equal(answer.headers['ratelimit-limit'], String(budgets.login.max))
  t.equal(answer.headers['ratelimit-remaining'], '0')

  const other = await app.inject({ ...login, remoteAddress: '192.0.2.7' })
  t.equal(other.statusCode, 400, 'another address has its own budget')
  t.equal((await app.inject('/openapi.json')).statusCode, 200, 'another route too')

  const nowhere = await untilLimited(app, 2000, { url: '/nowhere', remoteAddress: '192.0.2.8' })
  t.equal(nowhere.count, budgets.everything.max)
  t.match(problemOf(nowhere.answer), limited)
})

/** Headers with which a client could pretend to have another address. */
const spoofs = [
  { 'x-forwarded-for': '198.51.100.1' },
  { 'x-forwarded-for': '198.51.100.2, 198.51.100.3,198.51.100.4' },
  { 'x-forwarded-for': 'garbage, 127.0.0.1, ::1' },
  { 'x-forwarded-for': `${'198.51.100.5, '.repeat(700)}198.51.100.6` },
  { forwarded: 'for=198.51.100.7;proto=https' },
  { 'x-real-ip': '198.51.100.8' },
  { 'true-client-ip': '198.51.100.9', 'cf-connecting-ip': '198.51.100.10' },
  { 'x-client-ip': '198.51.100.11', 'x-forwarded-for': '' },
]

/** Sends one request after another, made from its index. @returns how many passed */
async function sentUntilLimited(app: FastifyInstance, requestAt: (at: number) => object) {
  for (let at = 0; at <= 100; at++) {
    if ((await app.inject({ ...login, ...requestAt(at) })).statusCode === 429) return at
  }
  throw new Error('no limit')
}

t.test('without a gateway, no header changes the client address (H03)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const sent = await sentUntilLimited(app, (at) => ({ headers: spoofs[at % spoofs.length] }))
  t.equal(sent, budgets.login.max)
})

t.test('behind a gateway, only the address that it appends counts (H03)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', TRUST_PROXY: '10.0.0.0/8,fd00::/8' } })
  const behind = (client: string, proxies = '') => {
    return (at: number) => {
      const { 'x-forwarded-for': written = '', ...others } = spoofs[at % spoofs.length] ?? {}
      const forwarded = [written, client, proxies].filter((part) => part !== '').join(', ')
      return {
        remoteAddress: at % 2 ? '10.0.0.1' : 'fd00::1',
        headers: { ...others, 'x-forwarded-for': forwarded },
      }
    }
  }
  t.equal(await sentUntilLimited(app, behind('192.0.2.7')), budgets.login.max)
  t.equal(await sentUntilLimited(app, behind('192.0.2.8', '10.9.9.9')), budgets.login.max, 'two gateways')
  t.equal(await sentUntilLimited(app, behind('::ffff:192.0.2.8')), 0, 'the same address in another form')
  t.equal(await sentUntilLimited(app, behind('2001:db8::1')), budgets.login.max)
  const garbage = (at: number) => ({
    remoteAddress: '10.0.0.1',
    headers: { 'x-forwarded-for': `192.0.2.9, gar bage ${at}` },
  })
  t.equal(await sentUntilLimited(app, garbage), budgets.login.max, 'an invalid address counts as the gateway')
  const direct = (at: number) => ({ remoteAddress: '172.16.0.1', headers: spoofs[at % spoofs.length] })
  t.equal(await sentUntilLimited(app, direct), budgets.login.max, 'an untrusted peer is not a gateway')
})

t.test('an IPv6 /64 is one client, and so is an IPv4 address in either form', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const addressAt = (at: number) => `2001:db8:1:2:${at.toString(16)}::${at}`
  t.equal(await sentUntilLimited(app, (at) => ({ remoteAddress: addressAt(at) })), budgets.login.max)
  const forms = ['192.0.2.7', '::ffff:192.0.2.7', '::FFFF:C000:0207']
  t.equal(await sentUntilLimited(app, (at) => ({ remoteAddress: forms[at % 3] })), budgets.login.max)
})

t.test('requests of 5,001 other clients do not evict the counter of the first (H06)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const { count } = await untilLimited(app, 100, login)
  t.equal(count, budgets.login.max)
  const others = Array.from({ length: 5_001 }, (_, at) => `198.18.${at >> 8}.${at & 255}`)
  const answers = await Promise.all(others.map((remoteAddress) => app.inject({ ...login, remoteAddress })))
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [400])
  t.match(problemOf(await app.inject(login)), limited)
})

t.test('no spelling of a path bypasses its budget (G11)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_LOGIN: '3/1m' } })
  await untilLimited(app, 3, login)
  for (const url of [
    '//api/auth/login',
    '/api/auth/login/',
    '/API/auth/LOGIN',
    '/api/auth/%6cogin',
    '/api/auth/login;x',
    '/api/auth/x/../login',
    '/api/auth/login%00',
    '/api/auth/login?',
    '/api/auth/login?x=1',
    '/api%2fauth%2flogin',
  ]) {
    const { statusCode } = await app.inject({ ...login, url })
    t.ok([404, 429].includes(statusCode), `${url}: ${statusCode}`)
  }
  const remaining = async (method: 'GET' | 'HEAD') =>
    Number((await app.inject({ method, url: '/openapi.json' })).headers['ratelimit-remaining'])
  t.equal(await remaining('HEAD'), (await remaining('GET')) + 1, 'HEAD counts with GET')
})

t.test('routes that verify a password share one budget (D09)', async (t) => {
  const env = { RATE_LIMITS: 'on', RATE_LIMIT_ACCOUNT: '999/1m', RATE_LIMIT_PAIR: '999/1m' }
  const { app, alice, bob } = await twoUsers(t, { env })
  const wrong = { current_password: 'not the password', new_password: 'another password' }
  const guesses = [
    () => app.inject(login),
    () => alice.call('PUT', '/api/auth/password', wrong),
    () => alice.call('POST', '/api/auth/me/delete', { password: 'not the password' }),
    () => alice.call('PUT', '/api/auth/email', { new_email: 'a@example.com', password: 'not the password' }),
  ]
  for (let count = 0; count < budgets.login.max; count++) {
    const answer = await guesses[count % guesses.length]?.()
    t.not(answer?.statusCode, 429)
  }
  for (const guess of guesses) t.match(problemOf(await guess()), limited)
  t.equal((await bob.call('GET', bob.tasks)).statusCode, 200, 'other routes are not limited')
})

t.test('each kind of route has its own budget, as configured (H09)', async (t) => {
  const env = {
    RATE_LIMITS: 'on',
    RATE_LIMIT_SIGNUP: '2/1m',
    RATE_LIMIT_REFRESH: '4/1m',
    RATE_LIMIT_EVERYTHING: '6/1m',
  }
  const app = await testApp(t, { env })
  const counts = {
    signup: (await untilLimited(app, 10, { method: 'POST', url: '/api/auth/signup', payload: {} })).count,
    refresh: (await untilLimited(app, 10, { method: 'POST', url: '/api/auth/refresh', payload: {} })).count,
    nowhere: (await untilLimited(app, 10, { url: '/nowhere' })).count,
    tasks: (await untilLimited(app, 10, { url: '/api/nobody/tasks' })).count,
    docs: (await untilLimited(app, 10, { url: '/openapi.json' })).count,
  }
  t.same(counts, { signup: 2, refresh: 4, nowhere: 6, tasks: 0, docs: 0 })
})

t.test('health checks have no limit and count against none', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_EVERYTHING: '2/1m' } })
  for (const method of ['GET', 'HEAD'] as const) {
    for (const url of ['/health/live', '/health/ready', '/health/live?', '/health/ready?x=1']) {
      const answer = await app.inject({ method, url })
      t.equal(answer.statusCode, 200, `${method} ${url}`)
      t.equal(answer.headers['ratelimit-limit'], undefined)
    }
  }
  const { count } = await untilLimited(app, 2, { url: '/health/nowhere' })
  t.equal(count, 2, 'unknown paths beside them are limited')
  t.equal((await app.inject('/health/ready')).statusCode, 200, 'also from a limited address')
})

t.test('an address that reaches a limit is logged once per window, without a row', async (t) => {
  const lines: string[] = []
  const env = { RATE_LIMITS: 'on', RATE_LIMIT_LOGIN: '2/1m', LOG_LEVEL: 'warn' }
  const app = await testApp(t, { env, log: (line) => lines.push(line) })
  for (let sent = 0; sent < 10; sent++) await app.inject({ ...login, remoteAddress: '2001:db8::1' })
  await untilLimited(app, 3, login)
  const event = { level: 40, event: 'rate_limit_reached', limit: 'login', user_id: null }
  t.match(
    lines.map((line) => JSON.parse(line)),
    [
      { ...event, ip: '2001:db8:0:0::/64' },
      { ...event, ip: '127.0.0.1' },
    ],
  )
  t.equal(lines.length, 2)
  t.same(await app.db.selectFrom('security_events').select('event').execute(), [])
})

t.test('an unknown budget stops the start', async (t) => {
  const app = Fastify()
  await app.register(rateLimit, { budgets })
  const route = () => app.get('/a', { config: { budget: 'generous' as 'signup' } }, async () => 'ok')
  t.throws(route, { message: /^GET \/a: config\.budget must be/ })
})

t.test('RATE_LIMITS=off turns all limits of addresses off', async (t) => {
  const app = await testApp(t)
  await t.rejects(untilLimited(app, budgets.login.max * 2, login), /no limit/)
})
