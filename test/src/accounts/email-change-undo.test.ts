import t, { type Test } from 'tap'
import { password, problemOf, twoUsers } from '../../helper.ts'
import { forgetMails, mailTo, post, tokenTo } from '../../support/mailbox.ts'

const chosen = 'another battery staple'
const thief = 'thief@example.com'
const invalidToken = { status: 400, code: 'invalid_token' }

/** A verified owner, and a change of address requested by an attacker who has the password. */
async function asked(t: Test) {
  const { app, alice, bob } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await alice.call('PUT', '/api/auth/email', { new_email: thief, password })
  const confirm = await tokenTo(app, thief)
  const undo = await tokenTo(app, alice.email)
  const moveAway = async () => {
    t.equal((await post(app, 'email/verify', { token: confirm })).statusCode, 204)
    return (await post(app, 'login', { email: thief, password })).json().token
  }
  return { app, alice, bob, confirm, undo, moveAway }
}

t.test('the present address is notified of a requested change, and can cancel it', async (t) => {
  const { app, alice, bob, confirm, undo } = await asked(t)
  const [mail] = await mailTo(app, alice.email)
  t.match(mail, { name: 'email_change_requested', text: /reset-password#token=/ })
  t.notOk(mail?.text.includes(thief))
  t.equal((await post(app, 'password/reset', { token: undo, new_password: chosen })).statusCode, 204)
  t.match(problemOf(await post(app, 'email/verify', { token: confirm })), invalidToken)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
  const login = await post(app, 'login', { email: alice.email, password: chosen })
  t.match(login.json(), { user: { id: alice.id, email: alice.email } })
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  t.match(problemOf(await post(app, 'password/reset', { token: undo, new_password: chosen })), invalidToken)
})

t.test('the link restores the account after the change, whatever the attacker has done since', async (t) => {
  const { app, alice, undo, moveAway } = await asked(t)
  const token = await moveAway()
  const headers = { authorization: `Bearer ${token}` }
  await forgetMails(app)
  // Another change, a new password, a reset, and the old address taken.
  await app.inject({
    method: 'PUT',
    url: '/api/auth/email',
    payload: { new_email: 'x@example.org', password },
    headers,
  })
  const body = { current_password: password, new_password: 'the password of a thief' }
  t.equal(
    (await app.inject({ method: 'PUT', url: '/api/auth/password', payload: body, headers })).statusCode,
    204,
  )
  await post(app, 'password/forgot', { email: thief })
  await post(app, 'password/reset', { token: await tokenTo(app, thief), new_password: 'thief again' })
  const squatter = await post(app, 'signup', { email: alice.email, password, name: 'Squatter' })
  t.equal(squatter.statusCode, 201)

  t.equal((await post(app, 'password/reset', { token: undo, new_password: chosen })).statusCode, 204)
  const login = await post(app, 'login', { email: alice.email, password: chosen })
  t.match(login.json(), { user: { id: alice.id, email: alice.email, email_verified: true } })
  for (const known of [password, 'the password of a thief', 'thief again']) {
    t.equal((await post(app, 'login', { email: thief, password: known })).statusCode, 401)
  }
  for (const access of [token, squatter.json().token]) {
    const me = await app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${access}` } })
    t.equal(me.statusCode, 401)
  }
  t.equal((await mailTo(app, thief))[0]?.name, 'email_changed')
})

t.test('another account that has verified the address keeps it', async (t) => {
  const { app, alice, undo, moveAway } = await asked(t)
  await moveAway()
  await forgetMails(app)
  await post(app, 'signup', { email: alice.email, password, name: 'Alice' })
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  t.match(problemOf(await post(app, 'password/reset', { token: undo, new_password: chosen })), invalidToken)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
})

t.test('every mail of several requests has the same link', async (t) => {
  const { app, alice, undo } = await asked(t)
  await alice.call('PUT', '/api/auth/email', { new_email: 'other@example.com', password })
  t.equal(await tokenTo(app, alice.email), undo)
  t.equal((await mailTo(app, alice.email)).filter(({ name }) => name === 'email_change_requested').length, 2)
})

t.test('a reset at the present address revokes the link', async (t) => {
  const { app, alice, undo } = await asked(t)
  await post(app, 'password/forgot', { email: alice.email })
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: chosen })
  t.match(
    problemOf(await post(app, 'password/reset', { token: undo, new_password: 'yet another one' })),
    invalidToken,
  )
})
