import t from 'tap'
import { password, problemOf, signUp, twoUsers } from '../../../helper.ts'
import { comparable, forgetMails, mailTo, post, recordingApp, tokenTo } from '../../../support/mailbox.ts'

const invalidToken = { status: 400, code: 'invalid_token' }
const wrong = { status: 401, code: 'invalid_credentials' }
const fresh = 'alice.new@example.com'

t.test('the old address stays until the new one is verified, and is notified (E12)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await alice.call('PATCH', '/api/auth/me', { name: 'Alice' })
  const asked = await alice.call('PUT', '/api/auth/email', { new_email: 'Alice.New@Example.com', password })
  t.equal(asked.statusCode, 202)
  t.match((await alice.call('GET', '/api/auth/me')).json(), { email: alice.email, email_verified: true })
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
  t.match(problemOf(await post(app, 'login', { email: fresh, password })), wrong)

  const [mail] = await mailTo(app, fresh)
  t.match(mail, { name: 'confirm_email_change', text: /\/verify-email#token=/ })
  t.notMatch(mail?.text, /alice,/, 'no greeting by name at an unverified address')
  const token = await tokenTo(app, fresh)
  t.equal((await post(app, 'email/verify', { token })).statusCode, 204)

  await t.test('every session ends, and the new address logs in (B10)', async (t) => {
    t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
    t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
    t.match(problemOf(await post(app, 'login', { email: alice.email, password })), wrong)
    const login = await post(app, 'login', { email: fresh, password })
    t.match(login.json(), { user: { id: alice.id, email: fresh, email_verified: true } })
    t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  })
  const [notice] = await mailTo(app, alice.email)
  t.match(notice, { name: 'email_changed', text: /Hello Alice,/ })
  t.notOk(
    notice?.text.includes(fresh),
    'the mail does not reveal the new address to a mailbox that may be another’s',
  )
  t.same(
    (await mailTo(app, fresh)).map(({ name }) => name),
    ['confirm_email_change'],
  )
  t.match(problemOf(await post(app, 'email/verify', { token })), invalidToken, 'once')
})

t.test('a change requires the password of the account itself', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const refused = await alice.call('PUT', '/api/auth/email', {
    new_email: fresh,
    password: 'not the password',
  })
  t.match(problemOf(refused), wrong)
  const own = { new_email: alice.email.toUpperCase(), password }
  t.match(problemOf(await alice.call('PUT', '/api/auth/email', own)), {
    code: 'validation_failed',
    errors: [{ path: 'new_email', message: 'must differ from the current one' }],
  })
  for (const new_email of ['x', 'a@example.com\r\nBcc: b@example.com', [fresh], null]) {
    const answer = await bob.call('PUT', '/api/auth/email', { new_email, password })
    t.match(problemOf(answer), { code: 'validation_failed' }, JSON.stringify(new_email))
  }
  t.same(await mailTo(app, fresh), [])
})

t.test('a taken address gets the same answer, and its holder a mail (C03)', async (t) => {
  const { app, statements } = await recordingApp(t)
  const alice = await signUp(app, 'alice')
  const bob = await signUp(app, 'bob')
  await post(app, 'email/verify', { token: await tokenTo(app, bob.email) })
  const ask = async (new_email: string) => {
    const before = statements.length
    const answer = comparable(await alice.call('PUT', '/api/auth/email', { new_email, password }))
    return { answer, before }
  }
  const taken = await ask(bob.email)
  t.equal(taken.answer.statusCode, 202)
  const [mail] = await mailTo(app, bob.email)
  t.match(mail, { name: 'already_registered', secret: undefined })
  t.notOk(mail?.text.includes(alice.email), 'the mail does not reveal the requesting account')
  t.same((await ask('free@example.com')).answer, taken.answer)
  t.equal((await mailTo(app, 'free@example.com'))[0]?.name, 'confirm_email_change')

  await forgetMails(app)
  await app.mailWorker?.stop(5_000)
  const shapes: string[][] = []
  for (const address of [bob.email, 'free@example.org']) {
    const { before } = await ask(address)
    shapes.push(statements.slice(before))
  }
  t.same(shapes[0], shapes[1], 'the same statements')
  t.match((await bob.call('GET', '/api/auth/me')).json(), { email: bob.email })
})

t.test('an address taken before its verification stays with the account that took it', async (t) => {
  const { app, alice } = await twoUsers(t)
  await alice.call('PUT', '/api/auth/email', { new_email: fresh, password })
  const token = await tokenTo(app, fresh)
  const taker = await post(app, 'signup', { email: fresh, password, name: 'Taker' })
  t.match(problemOf(await post(app, 'email/verify', { token })), invalidToken)
  t.match((await alice.call('GET', '/api/auth/me')).json(), { email: alice.email })
  t.equal((await post(app, 'login', { email: fresh, password })).json().user.id, taker.json().user.id)
})

t.test('what ends an attacker’s access cancels the change that the attacker requested', async (t) => {
  for (const end of ['password', 'reset'] as const) {
    const { app, alice } = await twoUsers(t)
    await forgetMails(app)
    await alice.call('PUT', '/api/auth/email', { new_email: 'thief@example.com', password })
    const token = await tokenTo(app, 'thief@example.com')
    if (end === 'password') {
      const body = { current_password: password, new_password: 'another password' }
      await alice.call('PUT', '/api/auth/password', body)
    } else {
      await post(app, 'password/forgot', { email: alice.email })
      const body = { token: await tokenTo(app, alice.email), new_password: 'another password' }
      t.equal((await post(app, 'password/reset', body)).statusCode, 204)
    }
    t.match(problemOf(await post(app, 'email/verify', { token })), invalidToken, end)
    const login = await post(app, 'login', { email: alice.email, password: 'another password' })
    t.equal(login.json().user.id, alice.id)
  }
})

t.test('an account can request three changes an hour, taken addresses or not (E14)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  await forgetMails(app)
  for (const new_email of [bob.email, 'one@example.com', 'two@example.com', 'three@example.com']) {
    const answer = await alice.call('PUT', '/api/auth/email', { new_email, password })
    t.equal(answer.statusCode, 202)
    await app.mailWorker?.settled()
  }
  t.equal((await mailTo(app, 'two@example.com')).length, 1)
  t.same(await mailTo(app, 'three@example.com'), [])
  t.equal((await post(app, 'email/verify', { token: await tokenTo(app, 'two@example.com') })).statusCode, 204)
})
