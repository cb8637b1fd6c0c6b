import { sql } from 'kysely'
import t from 'tap'
import { eventsOf, password, problemOf, testApp, twoUsers } from '../../../helper.ts'
import { comparable, forgetMails, mailTo, post, recordingApp, tokenTo } from '../../../support/mailbox.ts'

const invalidToken = { status: 400, code: 'invalid_token' }
const invalid = { status: 400, code: 'validation_failed' }
const wrong = { status: 401, code: 'invalid_credentials' }
const unverified = {
  status: 403,
  code: 'email_not_verified',
  detail: 'The email address has not been verified',
}
const required = { env: { REQUIRE_EMAIL_VERIFICATION: 'true' } }

t.test('signup opens a session at once and mails a link; the link verifies the address', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const [mail] = await mailTo(app, alice.email)
  t.match(mail, { name: 'verify_email', text: /http:\/\/latchkey\.test\/verify-email#token=[\w-]{43}\n/ })
  t.match(mail?.text, /24 hours/)
  t.notMatch(mail?.text, /alice,/, 'no greeting by name at an unverified address')
  const token = await tokenTo(app, alice.email)

  await t.test('only POST uses a token (E10)', async (t) => {
    for (const method of ['GET', 'HEAD', 'PUT'] as const) {
      const answer = await app.inject({ method, url: '/api/auth/email/verify', query: { token } })
      t.equal(answer.statusCode, 405, method)
      t.equal(answer.headers['referrer-policy'], 'no-referrer')
    }
    t.equal((await post(app, `email/verify?token=${token}`, {})).statusCode, 400, 'not one in the URL')
    t.match((await alice.call('GET', '/api/auth/me')).json(), { email_verified: false })
  })

  t.match(
    problemOf(await post(app, 'password/reset', { token, new_password: 'another password' })),
    invalidToken,
  )
  t.equal((await post(app, 'email/verify', { token })).statusCode, 204)
  t.match((await alice.call('GET', '/api/auth/me')).json(), { email_verified: true }, 'the session continues')
  t.match((await bob.call('GET', '/api/auth/me')).json(), { email_verified: false })
  t.match(problemOf(await post(app, 'email/verify', { token })), invalidToken, 'once')
  t.same(await eventsOf(app, alice), ['email_verified'])
})

t.test('resend replaces the link; a verified address gets no mail', async (t) => {
  const { app, alice } = await twoUsers(t)
  const first = await tokenTo(app, alice.email)
  const asked = comparable(await post(app, 'email/resend', { email: alice.email }))
  t.equal(asked.statusCode, 202)
  const second = await tokenTo(app, alice.email)
  t.match(problemOf(await post(app, 'email/verify', { token: first })), invalidToken)
  t.equal((await post(app, 'email/verify', { token: second })).statusCode, 204)

  await forgetMails(app)
  const before = (await mailTo(app, alice.email)).length
  t.same(comparable(await post(app, 'email/resend', { email: alice.email })), asked, 'the same answer')
  t.same(comparable(await post(app, 'email/resend', { email: 'nobody@example.com' })), asked)
  t.equal((await mailTo(app, alice.email)).length, before)
  t.same(await mailTo(app, 'nobody@example.com'), [])
})

t.test(
  'with verification required, login is refused before it; only the right password gets the reason',
  async (t) => {
    const app = await testApp(t, required)
    const alice = { email: 'alice@example.com', password, name: 'Alice' }
    const signup = await post(app, 'signup', alice)
    t.equal(signup.statusCode, 202)
    t.same(Object.keys(signup.json()), ['detail'], 'no token')
    t.match(problemOf(await post(app, 'login', { email: alice.email, password })), unverified)
    t.match(problemOf(await post(app, 'login', { email: alice.email, password: 'not the password' })), wrong)
    t.same(await app.db.selectFrom('sessions').selectAll().execute(), [])

    t.equal((await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })).statusCode, 204)
    const login = await post(app, 'login', { email: alice.email, password })
    t.match(login.json(), { user: { email_verified: true, name: 'Alice' } })
  },
)

t.test('signup answers and writes the same for a new and a taken address (C02)', async (t) => {
  const { app, statements } = await recordingApp(t, required)
  const signUpAs = async (email: string, changes: object = {}) => {
    const before = statements.length
    const answer = comparable(await post(app, 'signup', { email, password, name: 'x', ...changes }))
    return { ...answer, statements: statements.slice(before) }
  }
  const taken = await signUpAs('taken@example.com')
  await post(app, 'email/verify', { token: await tokenTo(app, 'taken@example.com') })
  await signUpAs('waiting@example.com')
  await forgetMails(app)
  const hashed = t.capture(app.passwords, 'hash', app.passwords.hash)
  const verified = t.capture(app.passwords, 'verify', app.passwords.verify)
  const computed = () => hashed().length + verified().length

  await app.mailWorker?.stop(5_000)
  const fresh = await signUpAs('new@example.com')
  t.equal(computed(), 1)
  t.same({ ...taken, statements: [] }, { ...fresh, statements: [] })
  for (const email of ['taken@example.com', 'waiting@example.com', 'Taken@Example.com']) {
    const answer = await signUpAs(email, { password: 'another password' })
    t.same({ ...answer, statements: [] }, { ...fresh, statements: [] }, email)
    t.equal(answer.statements.length, fresh.statements.length, 'the same number of statements')
    t.equal(computed(), 1, 'one hash')
  }
  for (const fault of [{ password: 'short' }, { name: '' }, { email_verified: true }, { role: 'admin' }]) {
    const refused = await signUpAs('taken@example.com', fault)
    t.match(JSON.parse(refused.body), invalid, JSON.stringify(fault))
    t.same(await signUpAs('new2@example.com', fault), refused)
  }
})

t.test('signup with a taken address mails its owner and changes nothing (C02)', async (t) => {
  const app = await testApp(t, required)
  const alice = { email: 'alice@example.com', password, name: 'Alice' }
  await post(app, 'signup', alice)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  const { token } = (await post(app, 'login', { email: alice.email, password })).json()

  await post(app, 'signup', { ...alice, password: 'the password of another', name: 'Mallory' })
  const [mail] = await mailTo(app, alice.email)
  t.match(mail, { name: 'already_registered', subject: /already have an account/, secret: undefined })
  t.notMatch(mail?.text, /Mallory|#token/)
  const me = await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })
  t.match(me.json(), { name: 'Alice' })
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
  t.match(
    problemOf(await post(app, 'login', { email: alice.email, password: 'the password of another' })),
    wrong,
  )
})

for (const order of ['attacker first', 'victim first']) {
  t.test(`two parties sign up with one address, ${order}: its mailbox decides (E11)`, async (t) => {
    const app = await testApp(t, required)
    const email = 'victim@example.com'
    const passwords = { attacker: 'the password of mallory', victim: 'the password of victor' }
    const signups =
      order === 'attacker first' ? (['attacker', 'victim'] as const) : (['victim', 'attacker'] as const)
    const tokens: string[] = []
    for (const party of signups) {
      await post(app, 'signup', { email, password: passwords[party], name: party })
      tokens.push(await tokenTo(app, email))
    }
    t.same(
      (await mailTo(app, email)).map(({ name }) => name),
      ['choose_password', 'verify_email'],
    )
    const [first = '', second = ''] = tokens
    t.equal((await post(app, 'email/verify', { token: first })).statusCode, 204)
    for (const known of Object.values(passwords)) {
      t.match(
        problemOf(await post(app, 'login', { email, password: known })),
        wrong,
        'verified, but neither password is valid',
      )
    }
    const reset = { token: second, new_password: 'chosen in the mailbox' }
    t.equal((await post(app, 'password/reset', reset)).statusCode, 204)
    for (const known of Object.values(passwords)) {
      t.match(problemOf(await post(app, 'login', { email, password: known })), wrong)
    }
    const login = await post(app, 'login', { email, password: 'chosen in the mailbox' })
    t.match(
      login.json(),
      { user: { email_verified: true, name: 'User' } },
      'with neither name of the signups',
    )
  })
}

t.test('using up the mail quota before the victim signs up does not help an attacker (E11)', async (t) => {
  const app = await testApp(t, required)
  const email = 'victim@example.com'
  for (const _ of [1, 2, 3]) {
    await post(app, 'signup', { email, password, name: 'Mallory' })
    // A request replaces a pending mail of its kind.
    await app.mailWorker?.settled()
  }
  const token = await tokenTo(app, email)
  const own = { email, password: 'the password of victor' }
  t.equal((await post(app, 'signup', { ...own, name: 'Victor' })).statusCode, 202)
  t.equal((await mailTo(app, email)).length, 3)
  t.equal((await post(app, 'email/verify', { token })).statusCode, 204)
  t.match(problemOf(await post(app, 'login', { email, password })), wrong)
  t.match(problemOf(await post(app, 'login', own)), wrong)
  await forgetMails(app)
  await post(app, 'password/forgot', { email })
  const reset = { token: await tokenTo(app, email), new_password: own.password }
  t.equal((await post(app, 'password/reset', reset)).statusCode, 204)
  t.equal((await post(app, 'login', own)).statusCode, 200)
})

t.test('a reset of a pre-hijacked account removes what the other party stored (E11)', async (t) => {
  const { app, alice: attacker } = await twoUsers(t)
  await forgetMails(app)
  const taken = await post(app, 'signup', {
    email: attacker.email,
    password: 'victims password',
    name: 'Victor',
  })
  t.match(problemOf(taken), { code: 'email_already_registered' })
  await post(app, 'password/forgot', { email: attacker.email })
  const [reset] = await mailTo(app, attacker.email)
  t.notMatch(reset?.text, /alice,/)
  const body = { token: await tokenTo(app, attacker.email), new_password: 'victims password' }
  t.equal((await post(app, 'password/reset', body)).statusCode, 204)
  t.equal((await attacker.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await post(app, 'refresh', { refresh_token: attacker.refreshToken })).statusCode, 401)
  t.equal((await post(app, 'login', { email: attacker.email, password })).statusCode, 401)
})

t.test('a retried signup keeps its password, in sequence or concurrently', async (t) => {
  const app = await testApp(t, required)
  const again = { email: 'again@example.com', password, name: 'x' }
  await post(app, 'signup', again)
  await post(app, 'signup', again)
  t.equal((await post(app, 'email/verify', { token: await tokenTo(app, again.email) })).statusCode, 204)
  t.equal((await post(app, 'login', { email: again.email, password })).statusCode, 200)

  const twice = { email: 'twice@example.com', password, name: 'x' }
  await Promise.all([post(app, 'signup', twice), post(app, 'signup', twice)])
  t.equal((await post(app, 'email/verify', { token: await tokenTo(app, twice.email) })).statusCode, 204)
  t.equal((await post(app, 'login', { email: twice.email, password })).statusCode, 200)
})

t.test(
  'of concurrent signups with one address, one creates the account, and all get 202 (I06)',
  async (t) => {
    const app = await testApp(t, required)
    const answers = await Promise.all(
      Array.from({ length: 12 }, (_, at) => {
        const email = at % 2 ? 'race@example.com' : 'Race@Example.com'
        return post(app, 'signup', { email, password: `${password} ${at}`, name: `racer ${at}` })
      }),
    )
    t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [202])
    t.equal((await app.db.selectFrom('users').select('id').execute()).length, 1)
    t.equal((await app.db.selectFrom('mail_outbox').select('id').execute()).length, 3, 'E14')
  },
)

t.test('a signup with a full outbox creates no account', async (t) => {
  const app = await testApp(t, required)
  for (const tag of [1, 2, 3])
    await post(app, 'signup', { email: `bob+${tag}@example.com`, password, name: 'x' })
  t.equal((await post(app, 'signup', { email: 'bob+4@example.com', password, name: 'x' })).statusCode, 202)
  const users = await app.db.selectFrom('users').select('email').orderBy('email').execute()
  t.same(
    users.map(({ email }) => email),
    [1, 2, 3].map((tag) => `bob+${tag}@example.com`),
  )
})

t.test('using up the mail quota of an address does not prevent its signup (E14)', async (t) => {
  const app = await testApp(t, required)
  const alice = { email: 'alice@example.com', password, name: 'Alice' }
  for (const path of ['password/forgot', 'email/resend', 'password/forgot']) {
    await post(app, path, { email: alice.email })
    await app.mailWorker?.settled()
  }
  t.equal((await post(app, 'signup', alice)).statusCode, 202)
  t.equal((await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })).statusCode, 204)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
})

t.test('an expired link verifies nothing', async (t) => {
  const { app, alice } = await twoUsers(t)
  const token = await tokenTo(app, alice.email)
  await sql`update one_time_tokens set expires_at = now()`.execute(app.db)
  t.match(problemOf(await post(app, 'email/verify', { token })), invalidToken)
  t.match((await alice.call('GET', '/api/auth/me')).json(), { email_verified: false })
})

t.test('each token is valid for one purpose (A18)', async (t) => {
  const { app, alice } = await twoUsers(t)
  await forgetMails(app)
  const verification = await tokenTo(app, alice.email)
  await post(app, 'password/forgot', { email: alice.email })
  const reset = await tokenTo(app, alice.email)
  await alice.call('PUT', '/api/auth/email', { new_email: 'alice.new@example.com', password })
  const change = await tokenTo(app, 'alice.new@example.com')
  const tokens = { access: alice.token, refresh: alice.refreshToken, reset, verification, change }
  const consumers: Record<
    string,
    { opened: string[]; status: number; open: (token: string) => Promise<number> }
  > = {
    bearer: {
      opened: ['access'],
      status: 401,
      open: async (token) =>
        (await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })).statusCode,
    },
    refresh: {
      opened: ['refresh'],
      status: 401,
      open: async (refresh_token) => (await post(app, 'refresh', { refresh_token })).statusCode,
    },
    reset: {
      opened: ['reset'],
      status: 400,
      open: async (token) =>
        (await post(app, 'password/reset', { token, new_password: 'another password' })).statusCode,
    },
    verify: {
      opened: ['verification', 'change'],
      status: 400,
      open: async (token) => (await post(app, 'email/verify', { token })).statusCode,
    },
  }
  for (const [consumer, { opened, status, open }] of Object.entries(consumers)) {
    for (const [kind, token] of Object.entries(tokens)) {
      if (!opened.includes(kind)) t.equal(await open(token), status, `${kind} token at ${consumer}`)
    }
  }
  t.match((await alice.call('GET', '/api/auth/me')).json(), { email: alice.email, email_verified: false })
  t.equal(await consumers['verify']?.open(verification), 204, 'each is still valid for its purpose')
  t.equal(await consumers['reset']?.open(reset), 204)
})

t.test('in production without a mail server, routes that need mail answer 503', async (t) => {
  const env = { NODE_ENV: 'production', DATABASE_URL: 'postgres://unused', HASH_QUEUE: '10' }
  const { app, alice } = await twoUsers(t, { env })
  const unavailable = { status: 503, code: 'mail_unavailable', detail: 'Mail cannot be sent' }
  t.match(problemOf(await post(app, 'password/forgot', { email: alice.email })), unavailable)
  t.match(problemOf(await post(app, 'email/resend', { email: 'nobody@example.com' })), unavailable)
  const change = { new_email: 'new@example.com', password }
  t.match(problemOf(await alice.call('PUT', '/api/auth/email', change)), unavailable)
  await alice.call('PUT', '/api/auth/password', {
    current_password: password,
    new_password: 'another password',
  })
  t.same(await app.db.selectFrom('mail_outbox').selectAll().execute(), [], 'no mail is queued')
})

t.test('unknown fields of the bodies are refused (F05)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const extras = ['id', 'user_id', 'role', 'email_verified', 'password_hash', 'next', 'redirect']
  for (const field of extras) {
    for (const answer of [
      await post(app, 'password/forgot', { email: alice.email, [field]: 'x' }),
      await post(app, 'password/reset', { token: 'x', new_password: 'another password', [field]: 'x' }),
      await post(app, 'email/verify', { token: 'x', [field]: 'x' }),
      await post(app, 'email/resend', { email: alice.email, [field]: 'x' }),
      await alice.call('PUT', '/api/auth/email', { new_email: 'a@example.com', password, [field]: 'x' }),
    ]) {
      t.match(problemOf(answer), { ...invalid, errors: [{ path: field }] }, field)
    }
  }
})
