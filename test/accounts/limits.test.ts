import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { createAccountLimits } from '../../src/accounts/limits.ts'
import type { Counter } from '../../src/limits/counters.ts'
import { MemoryCounters } from '../../src/limits/memory-counters.ts'
import { type Budgets, budgets } from '../../src/limits.ts'
import { Problem } from '../../src/problem.ts'
import { eventsOf, password, problemOf, secret, signUp, testApp } from '../helper.ts'

const limited = { status: 429, code: 'rate_limited', detail: 'Too many requests' }
const wrong = { status: 401, code: 'invalid_credentials' }

/** Limits by account only: a test comes from one machine. */
const byAccount = { RATE_LIMITS: 'on', RATE_LIMIT_LOGIN: '9999/1m', RATE_LIMIT_SIGNUP: '9999/1m' }

/** Each wrong password that is let through costs a hash, so most tests make do with a smaller budget. */
const max = 4
const env = { ...byAccount, RATE_LIMIT_ACCOUNT: `${max}/15m`, RATE_LIMIT_PAIR: `${max}/15m` }

let addresses = 0
/** An address that nobody has come from. */
const newAddress = () => `198.18.${(addresses >> 8) & 255}.${addresses++ & 255}`

const logIn = (app: FastifyInstance, email: string, { from = newAddress(), using = 'a wrong guess' } = {}) =>
  app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email, password: using },
    remoteAddress: from,
  })

/** Many at once, but no more than find a connection to the database in time. */
async function guesses(app: FastifyInstance, email: string, count: number, from?: string) {
  const atOnce = 50
  const answers: LightMyRequestResponse[] = []
  while (answers.length < count) {
    const wave = Array.from({ length: Math.min(atOnce, count - answers.length) }, () =>
      logIn(app, email, from ? { from } : {}),
    )
    answers.push(...(await Promise.all(wave)))
  }
  return answers
}

/** How often each status was answered. */
function tally(answers: readonly LightMyRequestResponse[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { statusCode } of answers) counts[statusCode] = (counts[statusCode] ?? 0) + 1
  return counts
}

t.test('H01, H02: an account is guessed at ten times, from however many addresses at once', async (t) => {
  const app = await testApp(t, { env: byAccount })
  const { max } = budgets.account
  const alice = await signUp(app, 'alice')
  const verified = t.capture(app.passwords, 'verify', app.passwords.verify)
  const answers = await guesses(app, alice.email, 200)
  t.same(tally(answers), { 401: max, 429: 200 - max })
  t.equal(verified().length, max, 'what is refused costs no hash')

  const refused = answers.find(({ statusCode }) => statusCode === 429)
  if (!refused) throw new Error('none was refused')
  t.match(problemOf(refused), limited)
  t.equal(refused.headers['ratelimit-limit'], String(max))
  t.equal(refused.headers['ratelimit-remaining'], '0')
  const wait = Number(refused.headers['retry-after'])
  t.ok(wait > 0 && wait <= budgets.account.timeWindow / 1000, `Retry-After: ${wait}`)
  t.equal(
    (await logIn(app, alice.email, { using: password })).statusCode,
    429,
    'the right one from a stranger too',
  )

  const bob = await signUp(app, 'bob')
  t.equal(
    (await logIn(app, bob.email, { using: password })).statusCode,
    200,
    'another account is not concerned',
  )
})

t.test('C05: an account that does not exist is limited as one that does', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  const curve = async (email: string) => {
    const answers: object[] = []
    for (let at = 0; at < max + 5; at++) {
      const { statusCode, headers, body } = await logIn(app, email, {
        from: at % 2 ? newAddress() : '192.0.2.1',
      })
      const { 'x-request-id': id, date: _, ...others } = headers
      // The budget of the address goes down with each request, whoever is asked for, and so does time.
      for (const name of Object.keys(others)) {
        if (/^(ratelimit-(remaining|reset)|retry-after)$/.test(name)) others[name] = 'a number'
      }
      answers.push({ statusCode, headers: others, body: body.replaceAll(String(id), 'id') })
    }
    return answers
  }
  const [known, unknown] = [await curve(alice.email), await curve('nobody@example.com')]
  t.same(unknown, known)
  t.match(known.at(max - 1), { statusCode: 401 })
  t.match(known.at(max), { statusCode: 429 })
})

t.test(
  'H05, E04: one account is one bucket, however its address is written; another one is another',
  async (t) => {
    const app = await testApp(t, { env })
    const variants = ['bob@example.com', 'BOB@example.com', 'bob@EXAMPLE.com', 'Bob@Example.Com']
    const answers = await Promise.all(
      Array.from({ length: max }, (_, at) => logIn(app, variants[at % variants.length] ?? '')),
    )
    t.same(tally(answers), { 401: max })
    for (const email of variants) t.equal((await logIn(app, email)).statusCode, 429, email)
    // What is not compared without regard to it is not an address here at all.
    for (const email of [
      ' bob@example.com',
      'bob@example.com ',
      'b\u00f6b@example.com',
      'bo\u0308b@example.com',
    ]) {
      t.equal((await logIn(app, email)).statusCode, 400, email)
    }
    for (const email of ['bob+1@example.com', 'b.ob@example.com']) {
      t.match(problemOf(await logIn(app, email)), wrong, email)
    }
  },
)

t.test('H08: a thousand failures elsewhere do not lock a user out where they have logged in', async (t) => {
  const app = await testApp(t, { env })
  const email = 'victim@example.com'
  const home = '2001:db8:1:2::1'
  const office = '203.0.113.5'
  await app.inject({
    method: 'POST',
    url: '/api/auth/signup',
    payload: { email, password, name: 'Victim' },
    remoteAddress: home,
  })
  const { token } = (await logIn(app, email, { from: office, using: password })).json()
  const authorization = `Bearer ${token}`
  await app.inject({
    method: 'POST',
    url: '/api/auth/logout',
    headers: { authorization },
    remoteAddress: office,
  })

  // A hundred at a time: more than that wait longer for a connection than a request may.
  const failures = []
  for (let at = 0; at < 10; at++) failures.push(...(await guesses(app, email, 100)))
  t.same(tally(failures), { 401: max, 429: 1_000 - max })
  const right = (from: string) => logIn(app, email, { from, using: password })
  t.equal((await right(home)).statusCode, 200)
  t.equal((await right('2001:db8:1:2:ffff::9')).statusCode, 200, 'its /64 is one device')
  t.equal((await right(office)).statusCode, 200, 'where the session was ended too')
  for (const from of ['2001:db8:1:3::1', '203.0.113.6', newAddress()]) {
    t.match(problemOf(await right(from)), limited, from)
  }

  // Knowing the place is not knowing the password.
  t.same(tally(await guesses(app, email, 15, home)), { 401: max, 429: 15 - max })
  t.equal((await right(home)).statusCode, 429)
  t.equal((await right(office)).statusCode, 200, 'and each place has its own budget')
})

t.test('H08: an address is not known for good, nor to a stranger', async (t) => {
  const app = await testApp(t, { env })
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const at = (from: string, email: string) => logIn(app, email, { from, using: password })
  const { token } = (await at('192.0.2.10', bob.email)).json()
  await app.inject({
    url: '/api/auth/logout',
    method: 'POST',
    headers: { authorization: `Bearer ${token}` },
    remoteAddress: '192.0.2.10',
  })
  for (const { email } of [alice, bob]) await guesses(app, email, max)
  t.equal((await at('192.0.2.10', bob.email)).statusCode, 200)
  t.equal((await at('192.0.2.10', alice.email)).statusCode, 429, "another user's is a stranger's")

  await app.db.deleteFrom('sessions').where('user_id', '=', bob.id).execute()
  t.equal((await at('192.0.2.10', bob.email)).statusCode, 200, 'known by the logout')
  await app.db.deleteFrom('sessions').where('user_id', '=', bob.id).execute()
  const old = new Date(Date.now() - 31 * 86_400_000).toISOString()
  await app.db
    .updateTable('security_events')
    .set({ at: old } as object)
    .execute()
  t.equal((await at('192.0.2.10', bob.email)).statusCode, 429, 'for 30 days')
})

t.test('what is right does not count, and takes nothing back of what was wrong', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  await guesses(app, alice.email, max - 1)
  for (let time = 0; time < 5; time++) {
    t.equal((await logIn(app, alice.email, { using: password })).statusCode, 200)
  }
  t.same(tally(await guesses(app, alice.email, 5)), { 401: 1, 429: 4 })
})

t.test('D09: a wrong current password counts as a failed login does', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  const elsewhere = (await logIn(app, alice.email, { using: password })).json().token
  const change = { current_password: 'a wrong guess', new_password: 'another password' }
  const tries = [
    () => alice.call('PUT', '/api/auth/password', change),
    () => alice.call('POST', '/api/auth/me/delete', { password: 'a wrong guess' }),
  ]
  for (let at = 0; at < max; at++)
    t.match(problemOf((await tries[at % 2]?.()) as LightMyRequestResponse), wrong)
  for (const again of tries) t.match(problemOf(await again()), limited)
  const right = { ...change, current_password: password }
  t.match(
    problemOf(await alice.call('PUT', '/api/auth/password', right)),
    limited,
    'a thief of a token gets no more',
  )
  t.equal((await logIn(app, alice.email, { using: password })).statusCode, 429, 'the account is used up')

  const other = { authorization: `Bearer ${elsewhere}` }
  const answer = await app.inject({
    method: 'PUT',
    url: '/api/auth/password',
    payload: right,
    headers: other,
  })
  t.equal(answer.statusCode, 204, 'another session is a device that has logged in before')
})

t.test('a limit that is reached is told once, without the address that was asked for', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, { env: { ...env, LOG_LEVEL: 'warn' }, log: (line) => lines.push(line) })
  const alice = await signUp(app, 'alice')
  await guesses(app, alice.email, 50)
  await guesses(app, 'nobody@example.com', 50)
  const told = lines.map((line) => JSON.parse(line))
  t.match(told, [
    { event: 'rate_limit_reached', limit: 'account', user_id: alice.id, ip: /^198\.18\./ },
    { event: 'rate_limit_reached', limit: 'account', user_id: null, ip: /^198\.18\./ },
  ])
  t.equal(told.length, 2)
  t.notMatch(lines.join(), /@|alice\.|nobody/)
  const failed = Array.from({ length: max }, () => 'login_failed')
  t.same((await eventsOf(app, alice)).sort(), [...failed, 'rate_limit_reached'])
  t.same(await app.db.selectFrom('security_events').select('id').where('user_id', 'is', null).execute(), [])
})

t.test('RATE_LIMITS=off turns these off too', async (t) => {
  const app = await testApp(t, { env: { ...env, RATE_LIMITS: 'off' } })
  t.same(tally(await guesses(app, 'nobody@example.com', max + 2)), { 401: max + 2 })
})

function limits(changed: Partial<Budgets> = {}, known: () => string[] = () => []) {
  const taken: Counter[] = []
  const all = { ...budgets, ...changed }
  const memory = new MemoryCounters(all)
  const counters = {
    take: (wanted: readonly Counter[]) => {
      taken.push(...wanted)
      return memory.take(wanted)
    },
    giveBack: (given: readonly Counter[]) => memory.giveBack(given),
  }
  const knownAddresses = async () => known()
  const rest = { budgets: all, secret, knownAddresses, onReached: () => {} }
  return { taken, ...createAccountLimits({ counters, ...rest }) }
}

t.test('what could not be verified does not count', async (t) => {
  const { guess } = limits()
  const who = { email: 'a@example.com', userId: undefined, ip: '192.0.2.1' }
  const busy = async () => {
    throw new Problem('service_unavailable')
  }
  for (let at = 0; at < budgets.pair.max * 2; at++)
    await t.rejects(guess(who, busy), { code: 'service_unavailable' })
  t.equal(await guess(who, async () => false), false)
})

const smaller = {
  account: { max: 4, timeWindow: 60_000 },
  pair: { max: 2, timeWindow: 60_000 },
}
/** The limit that refused a guess. */
const refusedBy = (guess: Promise<boolean>) =>
  guess.then(
    () => undefined,
    ({ reason }: Problem) => reason,
  )
const wrongFrom = (ip: string) =>
  [{ email: 'a@example.com', userId: undefined, ip }, async () => false] as const

t.test('what is refused for a device takes nothing of the account', async (t) => {
  const { guess } = limits(smaller)
  for (let at = 0; at < 2; at++) t.equal(await guess(...wrongFrom('192.0.2.1')), false)
  for (let at = 0; at < 5; at++) t.equal(await refusedBy(guess(...wrongFrom('192.0.2.1'))), 'pair')
  for (let at = 0; at < 2; at++) t.equal(await guess(...wrongFrom('192.0.2.2')), false)
  t.equal(await refusedBy(guess(...wrongFrom('192.0.2.3'))), 'account')
})

t.test('what is refused for the account, or could not be decided, takes nothing of a device', async (t) => {
  let known: () => string[] = () => []
  const { guess } = limits(smaller, () => known())
  for (let at = 0; at < 4; at++) t.equal(await guess(...wrongFrom(`192.0.2.${at}`)), false)
  for (let at = 0; at < 5; at++) t.equal(await refusedBy(guess(...wrongFrom('198.51.100.1'))), 'account')
  known = () => {
    throw new Error('the database is away')
  }
  for (let at = 0; at < 5; at++) await t.rejects(guess(...wrongFrom('198.51.100.1')), { message: /away/ })
  known = () => ['198.51.100.1']
  for (let at = 0; at < 2; at++) t.equal(await guess(...wrongFrom('198.51.100.1')), false)
  t.equal(await refusedBy(guess(...wrongFrom('198.51.100.1'))), 'pair')
})

t.test('no counter has an address of a person in its name', async (t) => {
  const { guess, taken } = limits()
  const email = 'somebody@example.com'
  await guess({ email, userId: 'user_1', ip: '192.0.2.1' }, async () => false)
  await guess({ email, userId: 'user_1', ip: '192.0.2.1', sessionId: 'session_1' }, async () => false)
  t.equal(taken.length, 4)
  t.notMatch(JSON.stringify(taken), /somebody|example|@/)
})
