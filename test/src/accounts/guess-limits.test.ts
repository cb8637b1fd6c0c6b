import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { createAccountLimits } from '../../../src/accounts/guess-limits.ts'
import { type Budgets, budgets } from '../../../src/limits/budgets.ts'
import type { Counter } from '../../../src/limits/counters.ts'
import { MemoryCounters } from '../../../src/limits/memory.ts'
import { Problem } from '../../../src/problem.ts'
import { eventsOf, password, problemOf, secret, signUp, testApp, twoUsers } from '../../helper.ts'
import { post, tokenTo } from '../../support/mailbox.ts'

const limited = { status: 429, code: 'rate_limited', detail: 'Too many requests' }
const wrong = { status: 401, code: 'invalid_credentials' }

/** The limits by address would refuse a test's requests. */
const byAccount = { RATE_LIMITS: 'on', RATE_LIMIT_LOGIN: '9999/1m', RATE_LIMIT_SIGNUP: '9999/1m' }

/** A small budget: each wrong password costs a hash. */
const max = 4
const env = { ...byAccount, RATE_LIMIT_ACCOUNT: `${max}/15m`, RATE_LIMIT_PAIR: `${max}/15m` }

let addresses = 0
/** An address that no request came from. */
const newAddress = () => `198.18.${(addresses >> 8) & 255}.${addresses++ & 255}`

const logIn = (app: FastifyInstance, email: string, { from = newAddress(), using = 'a wrong guess' } = {}) =>
  app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email, password: using },
    remoteAddress: from,
  })

/** Concurrent, within the connection pool's queue. */
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

/** Responses by status. */
function tally(answers: readonly LightMyRequestResponse[]): Record<number, number> {
  const counts: Record<number, number> = {}
  for (const { statusCode } of answers) counts[statusCode] = (counts[statusCode] ?? 0) + 1
  return counts
}

t.test(
  'an account allows ten wrong passwords, over any number of addresses at once (H01, H02)',
  async (t) => {
    const app = await testApp(t, { env: byAccount })
    const { max } = budgets.account
    const alice = await signUp(app, 'alice')
    const verified = t.capture(app.passwords, 'verify', app.passwords.verify)
    const answers = await guesses(app, alice.email, 200)
    t.same(tally(answers), { 401: max, 429: 200 - max })
    t.equal(verified().length, max, 'a refused login computes no hash')

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
      'the right password from an unknown device too',
    )

    const bob = await signUp(app, 'bob')
    t.equal(
      (await logIn(app, bob.email, { using: password })).statusCode,
      200,
      'another account is unaffected',
    )
  },
)

t.test('the limit is the same with and without an account (C05)', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  const curve = async (email: string) => {
    const answers: object[] = []
    for (let at = 0; at < max + 5; at++) {
      const { statusCode, headers, body } = await logIn(app, email, {
        from: at % 2 ? newAddress() : '192.0.2.1',
      })
      const { 'x-request-id': id, date: _, ...others } = headers
      // Different in each response.
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

t.test('spellings of one address share a bucket; other accounts have their own (H05, E04)', async (t) => {
  const app = await testApp(t, { env })
  const variants = ['bob@example.com', 'BOB@example.com', 'bob@EXAMPLE.com', 'Bob@Example.Com']
  const answers = await Promise.all(
    Array.from({ length: max }, (_, at) => logIn(app, variants[at % variants.length] ?? '')),
  )
  t.same(tally(answers), { 401: max })
  for (const email of variants) t.equal((await logIn(app, email)).statusCode, 429, email)
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
})

/** A login from a known device. */
const onDevice = (app: FastifyInstance, email: string, refresh_token: string, using = password) =>
  app.inject({
    method: 'POST',
    url: '/api/auth/login',
    payload: { email, password: using, refresh_token },
    remoteAddress: newAddress(),
  })

t.test(
  'failures elsewhere, a thousand in the full suite, do not lock out a known device (H08)',
  async (t) => {
    const { app, alice: victim, bob } = await twoUsers(t, { env })
    const second = (await logIn(app, victim.email, { using: password })).json()
    const refreshed = (await post(app, 'refresh', { refresh_token: second.refresh_token })).json()
    const loggedOut = (await logIn(app, victim.email, { using: password })).json()
    await app.inject({
      method: 'POST',
      url: '/api/auth/logout',
      headers: { authorization: `Bearer ${loggedOut.token}` },
    })

    // More at a time would exceed the wait for a connection.
    const failures = []
    const hundreds = process.env['TEST_SAMPLES'] === 'all' ? 10 : 2
    for (let at = 0; at < hundreds; at++) failures.push(...(await guesses(app, victim.email, 100)))
    t.same(tally(failures), { 401: max, 429: hundreds * 100 - max })
    const devices = {
      'of a live session': victim.refreshToken,
      'the newest of a session': refreshed.refresh_token,
      'the one before it': second.refresh_token,
      'of a session that has ended': loggedOut.refresh_token,
    }
    for (const [name, token] of Object.entries(devices)) {
      t.equal((await onDevice(app, victim.email, token)).statusCode, 200, name)
    }
    t.equal(
      (await post(app, 'refresh', { refresh_token: refreshed.refresh_token })).statusCode,
      200,
      'unused',
    )

    const tampered = `${victim.refreshToken.slice(0, -1)}${victim.refreshToken.endsWith('A') ? 'E' : 'A'}`
    for (const token of [bob.refreshToken, tampered, victim.token, 'x', victim.refreshToken.slice(0, 40)]) {
      t.match(problemOf(await onDevice(app, victim.email, token)), limited, token.slice(0, 10))
    }
    t.match(problemOf(await logIn(app, victim.email, { using: password, from: '127.0.0.1' })), limited)

    const wrongs = []
    for (let at = 0; at < 7; at++) {
      wrongs.push(
        await onDevice(app, victim.email, at % 2 ? refreshed.refresh_token : second.refresh_token, 'x'),
      )
    }
    t.same(tally(wrongs), { 401: max, 429: 7 - max }, 'all tokens of one session are one device')
    t.equal((await onDevice(app, victim.email, second.refresh_token)).statusCode, 429)
    t.equal(
      (await onDevice(app, victim.email, victim.refreshToken)).statusCode,
      200,
      'each has its own budget',
    )
  },
)

t.test('no address makes a device known, so sharing one reveals no account (C05)', async (t) => {
  const app = await testApp(t, { env })
  const nat = '192.0.2.50'
  const payload = { email: 'alice@example.com', password, name: 'Alice' }
  await app.inject({ method: 'POST', url: '/api/auth/signup', payload, remoteAddress: nat })
  const { token } = (await logIn(app, payload.email, { from: nat, using: password })).json()
  await app.inject({
    method: 'POST',
    url: '/api/auth/logout',
    headers: { authorization: `Bearer ${token}` },
    remoteAddress: nat,
  })
  const mine = (await signUp(app, 'mallory')).refreshToken
  for (const email of [payload.email, 'nobody@example.com']) {
    await guesses(app, email, max)
    t.match(problemOf(await logIn(app, email, { from: nat })), limited, email)
    t.match(problemOf(await onDevice(app, email, mine)), limited, 'a device of another account')
  }
})

t.test('an invalid device token does not affect the budgets', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { ...env, RATE_LIMIT_PAIR: '2/15m' } })
  const from = newAddress()
  const answers = []
  for (const refresh_token of ['x', bob.refreshToken, bob.refreshToken.slice(1), 'y']) {
    const payload = { email: alice.email, password: 'a wrong guess', refresh_token }
    answers.push(await app.inject({ method: 'POST', url: '/api/auth/login', payload, remoteAddress: from }))
  }
  t.same(tally(answers), { 401: 2, 429: 2 }, 'the pair of account and address counts')
  t.equal((await post(app, 'login', { email: bob.email, password, refresh_token: '' })).statusCode, 400)
})

t.test('a device is known for 30 days after its session, and one account keeps 20 of them', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const kept = (user: { id: string }) =>
    app.db.selectFrom('ended_sessions').select('id').where('user_id', '=', user.id).execute()
  const ids = Array.from({ length: 25 }, (_, at) => `session_${at}`)
  for (const id of ids) {
    await sql`insert into sessions (id, user_id, salt, ip, user_agent, idle_expires_at, expires_at)
      values (${id}, ${bob.id}, 'x', '', '', now(), now())`.execute(app.db)
  }
  await alice.call('POST', '/api/auth/logout')
  await app.db.deleteFrom('sessions').where('id', 'in', ids).execute()
  t.equal((await kept(bob)).length, 20)
  await bob.call('POST', '/api/auth/logout')
  t.equal((await kept(bob)).length, 20)
  t.equal((await kept(alice)).length, 1, 'other accounts do not affect it')

  await guesses(app, alice.email, max)
  await guesses(app, bob.email, max)
  t.equal((await onDevice(app, bob.email, bob.refreshToken)).statusCode, 200, 'the newest are kept')
  await sql`update ended_sessions set ended_at = now() - interval '31 days'`.execute(app.db)
  t.equal((await onDevice(app, alice.email, alice.refreshToken)).statusCode, 429)
})

t.test('the devices of a deleted account are forgotten', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  for (const { email } of [alice, bob]) await logIn(app, email, { using: password })
  await bob.call('POST', '/api/auth/logout')
  t.equal((await alice.call('POST', '/api/auth/me/delete', { password })).statusCode, 204)
  const rows = await app.db.selectFrom('ended_sessions').select('user_id').execute()
  t.same(rows, [{ user_id: bob.id }])
  await app.db.deleteFrom('users').where('id', '=', bob.id).execute()
  t.same(await app.db.selectFrom('ended_sessions').select('id').execute(), [], 'by SQL too')
})

/** Resets the password by mail, from an address. */
async function reset(app: FastifyInstance, email: string, from: string) {
  await post(app, 'password/forgot', { email })
  const payload = { token: await tokenTo(app, email), new_password: 'another battery staple' }
  return app.inject({ method: 'POST', url: '/api/auth/password/reset', payload, remoteAddress: from })
}

t.test('a reset restarts the counters of its account only', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  for (const { email } of [alice, bob]) await guesses(app, email, max + 1)
  t.equal((await reset(app, alice.email, newAddress())).statusCode, 204)
  const using = 'another battery staple'
  t.equal((await logIn(app, alice.email, { using })).statusCode, 200, 'from anywhere')
  t.equal((await logIn(app, bob.email, { using: password })).statusCode, 429)
  t.same(tally(await guesses(app, alice.email, max + 2)), { 401: max, 429: 2 }, 'and they count as before')
})

t.test('the address of a reset is known for that account, and for one window', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const [home, using] = ['2001:db8:1:2::1', 'another battery staple']
  await reset(app, alice.email, home)
  for (const { email } of [alice, bob]) await guesses(app, email, max)
  t.equal((await logIn(app, alice.email, { from: '2001:db8:1:2:ffff::9', using })).statusCode, 200)
  t.equal((await logIn(app, alice.email, { using })).statusCode, 429, 'no other address')
  t.equal((await logIn(app, bob.email, { from: home, using: password })).statusCode, 429, 'no other account')
  t.same(
    tally(await guesses(app, alice.email, max + 2, home)),
    { 401: max, 429: 2 },
    'on a budget of its own',
  )

  await sql`update password_resets set at = at - interval '16 minutes'`.execute(app.db)
  await guesses(app, alice.email, max)
  t.equal((await logIn(app, alice.email, { from: home, using })).statusCode, 429, 'not for longer')
})

t.test('a right password does not count, and does not reset the count', async (t) => {
  const app = await testApp(t, { env })
  const alice = await signUp(app, 'alice')
  await guesses(app, alice.email, max - 1)
  for (let time = 0; time < 5; time++) {
    t.equal((await logIn(app, alice.email, { using: password })).statusCode, 200)
  }
  t.same(tally(await guesses(app, alice.email, 5)), { 401: 1, 429: 4 })
})

t.test('a wrong current password counts like a failed login (D09)', async (t) => {
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

t.test('a reached limit is logged once, without the email address', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, { env: { ...env, LOG_LEVEL: 'warn' }, log: (line) => lines.push(line) })
  const alice = await signUp(app, 'alice')
  await guesses(app, alice.email, 50)
  await guesses(app, 'nobody@example.com', 50)
  const logged = lines.map((line) => JSON.parse(line))
  t.match(logged, [
    { event: 'rate_limit_reached', limit: 'account', user_id: alice.id, ip: /^198\.18\./ },
    { event: 'rate_limit_reached', limit: 'account', user_id: null, ip: /^198\.18\./ },
  ])
  t.equal(logged.length, 2)
  t.notMatch(lines.join(), /@|alice\.|nobody/)
  const failed = Array.from({ length: max }, () => 'login_failed')
  t.same((await eventsOf(app, alice)).sort(), [...failed, 'rate_limit_reached'])
  t.same(await app.db.selectFrom('security_events').select('id').where('user_id', 'is', null).execute(), [])
})

t.test('RATE_LIMITS=off keeps these limits, since no gateway can count them', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { ...env, RATE_LIMITS: 'off' } })
  for (const email of [alice.email, 'nobody@example.com']) {
    t.same(tally(await guesses(app, email, max + 2)), { 401: max, 429: 2 }, email)
  }
  const refused = await logIn(app, alice.email)
  t.match(refused.headers, { 'ratelimit-limit': String(max), 'ratelimit-remaining': '0' })
  const change = { current_password: 'a wrong guess', new_password: 'another password' }
  for (let at = 0; at < max; at++)
    t.equal((await bob.call('PUT', '/api/auth/password', change)).statusCode, 401)
  t.equal((await bob.call('PUT', '/api/auth/password', change)).statusCode, 429)
  t.equal((await bob.call('GET', bob.tasks)).headers['ratelimit-limit'], undefined, 'no limit by address')
})

function limits(changed: Partial<Budgets> = {}) {
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
  return { taken, ...createAccountLimits({ counters, budgets: all, secret, onReached: () => {} }) }
}

t.test('a password that could not be verified does not count', async (t) => {
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
/** The limit that refused the guess. */
const refusedBy = (guess: Promise<boolean>) =>
  guess.then(
    () => undefined,
    ({ reason }: Problem) => reason,
  )
const wrongFrom = (ip: string) =>
  [{ email: 'a@example.com', userId: undefined, ip }, async () => false] as const

t.test('a guess refused for a device does not count for the account', async (t) => {
  const { guess } = limits(smaller)
  for (let at = 0; at < 2; at++) t.equal(await guess(...wrongFrom('192.0.2.1')), false)
  for (let at = 0; at < 5; at++) t.equal(await refusedBy(guess(...wrongFrom('192.0.2.1'))), 'pair')
  for (let at = 0; at < 2; at++) t.equal(await guess(...wrongFrom('192.0.2.2')), false)
  t.equal(await refusedBy(guess(...wrongFrom('192.0.2.3'))), 'account')
})

t.test('a guess refused for the account does not count for a device', async (t) => {
  const { guess } = limits(smaller)
  for (let at = 0; at < 4; at++) t.equal(await guess(...wrongFrom(`192.0.2.${at}`)), false)
  for (let at = 0; at < 5; at++) t.equal(await refusedBy(guess(...wrongFrom('198.51.100.1'))), 'account')
  const [who, verify] = wrongFrom('198.51.100.1')
  for (let at = 0; at < 2; at++) t.equal(await guess({ ...who, device: 'session_1' }, verify), false)
  t.equal(await refusedBy(guess({ ...who, device: 'session_1' }, verify)), 'pair')
})

t.test('no counter name contains an email address', async (t) => {
  const { guess, taken } = limits()
  const email = 'somebody@example.com'
  await guess({ email, userId: 'user_1', ip: '192.0.2.1' }, async () => false)
  await guess({ email, userId: 'user_1', ip: '192.0.2.1', device: 'session_1' }, async () => false)
  t.equal(taken.length, 4)
  t.notMatch(JSON.stringify(taken), /somebody|example|@/)
})
