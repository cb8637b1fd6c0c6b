import { sql } from 'kysely'
import t from 'tap'
import { budgets } from '../../../../src/limits/budgets.ts'
import { eventsOf, password, problemOf, signUp, testApp, twoUsers } from '../../../helper.ts'
import { comparable, forgetMails, mailTo, post, recordingApp, tokenTo } from '../../../support/mailbox.ts'

const invalidToken = { status: 400, code: 'invalid_token', detail: 'The token is not valid' }
const invalid = { status: 400, code: 'validation_failed' }
const wrong = { status: 401, code: 'invalid_credentials' }
const chosen = 'another battery staple'

t.test('a forgotten password is reset with the mailed token', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await forgetMails(app)
  const asked = await post(app, 'password/forgot', { email: alice.email.toUpperCase() })
  t.equal(asked.statusCode, 202)
  t.match(asked.json(), { detail: /mail/ })

  const [mail] = await mailTo(app, alice.email)
  t.match(mail, { name: 'reset_password', subject: /Set a new password/ })
  t.match(mail?.text, /http:\/\/latchkey\.test\/reset-password#token=[\w-]{43}\n/)
  t.match(mail?.html, mail?.link?.replace('&', '&amp;'))
  t.match(mail?.text, /30 minutes/)

  const second = await post(app, 'login', { email: alice.email, password })
  const token = await tokenTo(app, alice.email)

  await t.test('every session ends, none is opened, the owner is notified (E09)', async (t) => {
    const reset = await post(app, 'password/reset', { token, new_password: chosen })
    t.equal(reset.statusCode, 204)
    t.equal(reset.body, '')
    t.equal(reset.headers['set-cookie'], undefined)
    for (const access of [alice.token, second.json().token]) {
      const me = await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${access}` } })
      t.equal(me.statusCode, 401)
    }
    for (const refresh_token of [alice.refreshToken, second.json().refresh_token]) {
      t.match(problemOf(await post(app, 'refresh', { refresh_token })), { code: 'invalid_grant' })
    }
    t.match(problemOf(await post(app, 'login', { email: alice.email, password })), wrong)
    const login = await post(app, 'login', { email: alice.email, password: chosen })
    t.match(login.json(), { user: { id: alice.id, email_verified: true } }, 'the address is verified')
    t.match(await mailTo(app, alice.email), [{ name: 'password_reset', text: /127\.0\.0\.1/ }, {}])
    t.same((await eventsOf(app, alice)).sort(), [
      'login',
      'login',
      'login_failed',
      'password_reset',
      'session_ended',
      'session_ended',
    ])
  })

  await t.test('the token works once (E08)', async (t) => {
    for (const again of [
      token,
      token.toUpperCase(),
      token.slice(1),
      `${token}=`,
      ` ${token}`,
      'x'.repeat(512),
    ]) {
      const answer = await post(app, 'password/reset', { token: again, new_password: 'yet another one' })
      t.match(problemOf(answer), invalidToken, again)
    }
    t.equal((await post(app, 'login', { email: alice.email, password: chosen })).statusCode, 200)
  })

  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200, 'another user is not affected')
  t.same(
    (await mailTo(app, bob.email)).map(({ name }) => name),
    ['verify_email'],
  )
})

t.test(
  'a token is invalid after its expiry, a newer token, a new password or a new address (E08)',
  async (t) => {
    const { app, alice, bob } = await twoUsers(t)
    const forgot = async () => {
      await forgetMails(app)
      await post(app, 'password/forgot', { email: alice.email })
      return tokenTo(app, alice.email)
    }
    const reset = async (token: string) =>
      problemOf(await post(app, 'password/reset', { token, new_password: chosen }))

    const expired = await forgot()
    await sql`update one_time_tokens set expires_at = now()`.execute(app.db)
    t.match(await reset(expired), invalidToken, 'expired')

    const older = await forgot()
    const newer = await forgot()
    t.not(older, newer)
    t.match(await reset(older), invalidToken, 'a newer one was mailed')

    await alice.call('PUT', '/api/auth/password', {
      current_password: password,
      new_password: 'a third password',
    })
    t.match(await reset(newer), invalidToken, 'the password was changed')

    const addressed = await forgot()
    await app.db.updateTable('users').set({ email: 'moved@example.com' }).where('id', '=', alice.id).execute()
    t.match(await reset(addressed), invalidToken, 'the address was changed')
    await app.db.updateTable('users').set({ email: alice.email }).where('id', '=', alice.id).execute()

    const deleted = await forgot()
    await alice.call('POST', '/api/auth/me/delete', { password: 'a third password' })
    t.match(await reset(deleted), invalidToken, 'the account was deleted')
    t.equal((await post(app, 'login', { email: bob.email, password })).statusCode, 200)
  },
)

t.test('of concurrent resets with one token, one succeeds (E08)', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'password/forgot', { email: alice.email })
  const token = await tokenTo(app, alice.email)
  const answers = await Promise.all(
    Array.from({ length: 12 }, (_, at) =>
      post(app, 'password/reset', { token, new_password: `password ${at}` }),
    ),
  )
  const won = answers.flatMap(({ statusCode }, at) => (statusCode === 204 ? [at] : []))
  t.equal(won.length, 1)
  for (const answer of answers) if (answer.statusCode !== 204) t.match(problemOf(answer), invalidToken)
  const login = await post(app, 'login', { email: alice.email, password: `password ${won[0]}` })
  t.equal(login.statusCode, 200)
})

t.test('an unacceptable password or an invalid token costs no hash, and uses no token up', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'password/forgot', { email: alice.email })
  const token = await tokenTo(app, alice.email)
  const hashed = t.capture(app.passwords, 'hash', app.passwords.hash)
  for (const body of [
    { token, new_password: 'short' },
    { token, new_password: 'e\u0301'.repeat(7) },
    { token, new_password: null },
    { token: [token], new_password: chosen },
    { token: '', new_password: chosen },
    { new_password: chosen },
    { token, new_password: chosen, next: '//evil.test' },
  ]) {
    t.match(problemOf(await post(app, 'password/reset', body)), invalid, JSON.stringify(body))
  }
  t.match(problemOf(await post(app, 'password/reset', { token: 'junk', new_password: chosen })), invalidToken)
  t.same(hashed(), [])
  t.equal((await post(app, 'password/reset', { token, new_password: chosen })).statusCode, 204)
})

t.test('forgot answers and writes the same for every address (C03)', async (t) => {
  const { app, statements } = await recordingApp(t)
  const alice = await signUp(app, 'alice')
  await app.mailWorker?.stop(5_000)
  const ask = async (body: object) => {
    const before = statements.length
    const answer = comparable(await post(app, 'password/forgot', body))
    return { ...answer, statements: statements.slice(before) }
  }
  const known = await ask({ email: alice.email })
  t.equal(known.statusCode, 202)
  t.ok(known.statements.length > 0)
  for (const email of ['nobody@example.com', 'no.body+tag@example.com'])
    t.same(await ask({ email }), known, email)

  const faults = [{ redirect: '//evil.test' }, { email: 'x' }, { email: [alice.email] }, { password }]
  for (const fault of faults) {
    const refused = await ask({ email: alice.email, ...fault })
    t.match(JSON.parse(refused.body), invalid)
    t.same(refused.statements, [])
    t.same(await ask({ email: 'nobody@example.com', ...fault }), refused)
  }
})

t.test('the limit by address is the same with and without an account (C05, H09)', async (t) => {
  const { app, alice } = await twoUsers(t, { env: { RATE_LIMITS: 'on' } })
  for (const path of ['password/forgot', 'email/resend']) {
    const curves = [alice.email, 'nobody@example.com'].map(async (email, at) => {
      const remoteAddress = `192.0.2.${path.length + at}`
      const answers = []
      for (let count = 0; count <= budgets.forgot.max; count++) {
        const url = `/api/auth/${path}`
        const answer = comparable(
          await app.inject({ method: 'POST', url, payload: { email }, remoteAddress }),
        )
        // The seconds depend on when the window began.
        const { 'ratelimit-reset': _, 'retry-after': __, ...headers } = answer.headers
        answers.push({ ...answer, headers })
      }
      return answers
    })
    const [known, unknown] = await Promise.all(curves)
    t.same(known, unknown)
    t.same([known?.[0]?.statusCode, known?.at(-2)?.statusCode, known?.at(-1)?.statusCode], [202, 202, 429])
  }
  const guess = () => post(app, 'email/verify', { token: 'x' })
  for (let count = 0; count < budgets.verify.max; count++) t.equal((await guess()).statusCode, 400)
  t.equal((await guess()).statusCode, 429)
  const reset = await post(app, 'password/reset', { token: 'x', new_password: chosen })
  t.equal(reset.statusCode, 429, 'one budget for all mailed tokens')
})

t.test('a mailbox gets three mails an hour; further requests are still 202 (E14)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await forgetMails(app)
  const answers = await Promise.all(
    Array.from({ length: 40 }, () => post(app, 'password/forgot', { email: alice.email })),
  )
  t.same([...new Set(answers.map(({ statusCode }) => statusCode))], [202])
  const token = await tokenTo(app, alice.email)
  t.ok((await mailTo(app, alice.email)).length <= 1 + 3, 'one is of the signup')
  const rows = await app.db.selectFrom('mail_outbox').selectAll().where('kind', '=', 'forgot').execute()
  t.equal(rows.length, 3, 'the outbox is bounded')

  await post(app, 'password/forgot', { email: bob.email })
  t.equal((await mailTo(app, bob.email))[0]?.name, 'reset_password', 'another mailbox has its own quota')
  t.equal(
    (await post(app, 'password/reset', { token, new_password: chosen })).statusCode,
    204,
    'requests that were not mailed replace no token',
  )
  await forgetMails(app)
  await post(app, 'password/forgot', { email: alice.email })
  t.equal((await mailTo(app, alice.email))[0]?.name, 'reset_password', 'mailed again after an hour')
})

t.test('a request without an account uses up no quota and leaves no row (E14)', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await forgetMails(app)
  const before = (await app.db.selectFrom('mail_outbox').select('id').execute()).length
  for (const email of [alice.email, 'nobody@example.com']) {
    for (let count = 0; count < 5; count++) {
      t.equal((await post(app, 'email/resend', { email })).statusCode, 202)
      await app.mailWorker?.settled()
    }
  }
  const rows = await app.db.selectFrom('mail_outbox').select('id').execute()
  t.equal(rows.length, before, 'the outbox is bounded')
  await post(app, 'password/forgot', { email: alice.email })
  t.equal((await mailTo(app, alice.email))[0]?.name, 'reset_password')
})

t.test('a request past the quota writes as much as one without an account', async (t) => {
  const { app, statements } = await recordingApp(t)
  const alice = await signUp(app, 'alice')
  const ask = async (email: string) => {
    await app.mailWorker?.settled()
    await app.mailWorker?.stop(5_000)
    const before = statements.length
    await post(app, 'password/forgot', { email })
    const asked = statements.slice(before)
    app.mailWorker?.start()
    await app.mailWorker?.settled()
    return {
      count: asked.length,
      writes: asked.filter((shape) => /"(Insert|Update)QueryNode"/.test(shape)).length,
    }
  }
  const asked = { count: 3, writes: 1 }
  for (let count = 0; count < 5; count++) {
    t.same(await ask(alice.email), asked)
    t.same(await ask('nobody@example.com'), asked)
  }
  t.equal((await mailTo(app, alice.email)).length, 3, 'with the one of the signup')
})

t.test('tagged addresses, and dots at Gmail, are separate accounts of one mailbox (E04)', async (t) => {
  const app = await testApp(t)
  for (const email of ['bo.b+1@gmail.com', 'bob+2@gmail.com', 'bob@gmail.com', 'b.ob@googlemail.com']) {
    const answer = await post(app, 'signup', { email, password, name: 'Bob' })
    t.equal(answer.statusCode, 201, email)
  }
  t.equal((await mailTo(app, 'bo.b+1@gmail.com')).length, 1)
  t.equal((await mailTo(app, 'bob@gmail.com')).length, 1)
  t.same(await mailTo(app, 'b.ob@googlemail.com'), [], 'the fourth within the hour')
  await post(app, 'signup', { email: 'b.ob@example.org', password, name: 'Bob' })
  t.equal((await mailTo(app, 'b.ob@example.org')).length, 1)
})

t.test('a mail goes to the stored address of one account, or is not sent (E03, E06)', async (t) => {
  const app = await testApp(t)
  await post(app, 'signup', { email: 'Kiss@Example.com', password, name: 'x' })
  await forgetMails(app)
  for (const email of [
    'k\u0131ss@example.com',
    '\u212aiss@example.com',
    'k\u0456ss@example.com',
    'kiss@ex\u0430mple.com',
  ]) {
    t.match(problemOf(await post(app, 'password/forgot', { email })), invalid, email)
  }
  for (const email of [
    ['kiss@example.com', 'attacker@example.com'],
    { $ne: '' },
    'kiss@example.com,a@example.com',
  ]) {
    t.match(problemOf(await post(app, 'password/forgot', { email })), invalid, JSON.stringify(email))
  }
  const twice = await app.inject({
    method: 'POST',
    url: '/api/auth/password/forgot',
    headers: { 'content-type': 'application/json' },
    payload: '{"email":"kiss@example.com","email":"attacker@example.com"}',
  })
  t.match(problemOf(twice), { code: 'invalid_request' })
  await post(app, 'password/forgot', { email: 'KISS@example.COM' })
  await app.mailWorker?.settled()
  t.same(
    app.mailbox?.mails.map(({ to }) => to),
    ['kiss@example.com', 'kiss@example.com'],
  )
})

t.test('no header of a request reaches a mail (E07)', async (t) => {
  const { app, alice } = await twoUsers(t, { env: { APP_URL: 'https://app.example.com/account/' } })
  const headers = {
    host: 'evil.test',
    'x-forwarded-host': 'evil.test',
    'x-forwarded-proto': 'gopher',
    forwarded: 'host=evil.test;proto=gopher',
    origin: 'https://evil.test',
    referer: 'https://evil.test/',
    'user-agent': 'evil.test',
  }
  const seen: string[] = []
  for (const sent of [{}, headers]) {
    await forgetMails(app)
    await app.inject({
      method: 'POST',
      url: '/api/auth/password/forgot',
      payload: { email: alice.email },
      headers: sent,
    })
    const [mail] = await mailTo(app, alice.email)
    const { text, html, subject, secret } = mail as {
      text: string
      html: string
      subject: string
      secret: string
    }
    seen.push([subject, text, html].join('\n').replaceAll(secret, 'TOKEN'))
  }
  t.match(seen[0], /https:\/\/app\.example\.com\/account\/reset-password#token=TOKEN/)
  t.equal(seen[1], seen[0])
})

t.test('an account without a password gets one by a reset; a trusted issuer’s user does not', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  // The worker resolves the account only when it sends.
  await mailTo(app, bob.email)
  await app.db.updateTable('users').set({ password_hash: null }).where('id', '=', alice.id).execute()
  await app.db
    .updateTable('users')
    .set({ password_hash: null, issuer: 'https://other.test', subject: 'bob' })
    .where('id', '=', bob.id)
    .execute()
  for (const { email } of [alice, bob]) await post(app, 'password/forgot', { email })
  const reset = { token: await tokenTo(app, alice.email), new_password: chosen }
  t.equal((await post(app, 'password/reset', reset)).statusCode, 204)
  t.equal((await post(app, 'login', { email: alice.email, password: chosen })).statusCode, 200)
  t.same(
    (await mailTo(app, bob.email)).map(({ name }) => name),
    ['verify_email'],
    'the signup’s, no other',
  )
})

t.test('a password change is notified by mail', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await alice.call('PUT', '/api/auth/password', { current_password: password, new_password: chosen })
  t.match((await mailTo(app, alice.email))[0], {
    name: 'password_changed',
    link: undefined,
    secret: undefined,
  })
})

t.test('reuse of a refresh token is notified by mail (B02)', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  const first = (await post(app, 'refresh', { refresh_token: alice.refreshToken })).json()
  await post(app, 'refresh', { refresh_token: first.refresh_token })
  t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
  t.match((await mailTo(app, alice.email))[0], {
    name: 'refresh_token_reused',
    subject: /ended for your safety/,
  })
})
