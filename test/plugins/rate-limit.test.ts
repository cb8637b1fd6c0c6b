import Fastify, { type FastifyInstance } from 'fastify'
import t from 'tap'
import rateLimit from '../../plugins/rate-limit.ts'
import { budgets } from '../../src/limits.ts'
import { problemOf, testApp, twoUsers } from '../helper.ts'

const limited = { status: 429, code: 'rate_limited', detail: 'Too many requests' }
const login = { method: 'POST', url: '/api/auth/login', payload: { email: 'a@example.com' } } as const

/** Sends requests until one is refused, `most` at the most, and tells how many went through. */
async function untilLimited(app: FastifyInstance, most: number, request: object) {
  for (let count = 0; count <= most; count++) {
    const answer = await app.inject(request)
    if (answer.statusCode === 429) return { count, answer }
  }
  throw new Error(`${most} requests and no limit`)
}

t.test('login, unknown paths and everything else have a budget for each address', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  // An invalid body: the budget is spent before anything is looked at, and no hash slows the test down.
  const { count, answer } = await untilLimited(app, 100, login)
  t.equal(count, budgets.password.max)
  t.match(problemOf(answer), limited)
  t.match(answer.headers['retry-after'], /^\d+$/)
  t.equal(answer.headers['ratelimit-limit'], String(budgets.password.max))
  t.equal(answer.headers['ratelimit-remaining'], '0')

  const other = await app.inject({ ...login, remoteAddress: '192.0.2.7' })
  t.equal(other.statusCode, 400, 'another address has a budget of its own')
  t.equal((await app.inject('/health/live')).statusCode, 200, 'another route too')

  const nowhere = await untilLimited(app, 2000, { url: '/nowhere', remoteAddress: '192.0.2.8' })
  t.equal(nowhere.count, budgets.everything.max)
  t.match(problemOf(nowhere.answer), limited)
})

t.test('H03, H04: one client is one budget, however it writes its address', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const addresses = [
    '2001:db8:1:2::1',
    '2001:db8:1:2::2',
    '2001:db8:1:2:ffff:ffff:ffff:ffff',
    '2001:DB8:1:2:0:0:0:9',
  ]
  let sent = 0
  const answer = await untilLimited(app, 100, {
    ...login,
    get remoteAddress() {
      return addresses[sent++ % addresses.length]
    },
    get headers() {
      return { 'x-forwarded-for': `198.51.100.${sent % 250}`, 'x-real-ip': `198.51.100.${sent % 250}` }
    },
  })
  t.equal(answer.count, budgets.password.max)
})

t.test('D09: what asks for a password shares one budget', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { RATE_LIMITS: 'on' } })
  const wrong = { current_password: 'not the password', new_password: 'another password' }
  const guesses = [
    () => app.inject(login),
    () => alice.call('PUT', '/api/auth/password', wrong),
    () => alice.call('POST', '/api/auth/me/delete', { password: 'not the password' }),
  ]
  for (let count = 0; count < budgets.password.max; count++) {
    const answer = await guesses[count % guesses.length]?.()
    t.not(answer?.statusCode, 429)
  }
  for (const guess of guesses) t.match(problemOf(await guess()), limited)
  t.equal((await bob.call('GET', bob.tasks)).statusCode, 200, 'and nothing else is limited by it')
})

t.test('a budget that does not exist stops the start', async (t) => {
  const app = Fastify()
  await app.register(rateLimit, { enabled: true })
  const route = () => app.get('/a', { config: { budget: 'generous' as 'signup' } }, async () => 'ok')
  t.throws(route, { message: /^GET \/a: config\.budget must be/ })
})

t.test('RATE_LIMITS=off turns all of them off', async (t) => {
  const app = await testApp(t)
  await t.rejects(untilLimited(app, budgets.password.max * 2, login), /no limit/)
})
