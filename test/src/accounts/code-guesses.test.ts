import t from 'tap'
import { password, problemOf, signUp, type TestUser } from '../../helper.ts'
import { post, tokenTo } from '../../support/mailbox.ts'
import { secondFactorStage } from '../../support/second-factor-stage.ts'

/** A small budget, of the account only: all requests of a test come from one address. */
const max = 4
const env = {
  RATE_LIMITS: 'on',
  RATE_LIMIT_LOGIN: '9999/1m',
  RATE_LIMIT_SIGNUP: '9999/1m',
  RATE_LIMIT_ACCOUNT: `${max}/15m`,
  RATE_LIMIT_PAIR: `${max}/15m`,
}
const limited = { status: 429, code: 'rate_limited' }
const invalidCode = { status: 401, code: 'invalid_code' }
const chosen = 'another battery staple'

let addresses = 0
/** An address without requests so far. */
const newAddress = () => `198.19.0.${addresses++ % 256}`

t.test('wrong codes use the budget of the account', async (t) => {
  const on = await secondFactorStage(t, { env })
  const { app, challenged, logIn } = on
  const someone = async () => on.enrolled(await signUp(app, 'someone'))
  const tryCode = (mfa_token: string, code: string) =>
    app.inject({
      method: 'POST',
      url: '/api/auth/login/second-factor',
      payload: { mfa_token, code },
      remoteAddress: newAddress(),
    })
  const logInFrom = (remoteAddress: string, { email }: TestUser, given = password) =>
    app.inject({ method: 'POST', url: '/api/auth/login', payload: { email, password: given }, remoteAddress })

  await t.test('over any number of addresses and challenges, and no right password resets it', async (t) => {
    const alice = await someone()
    const spare = await challenged(alice)
    const ofDevice = await challenged(alice, { refresh_token: alice.refreshToken })
    for (let guess = 0; guess < max; guess++) {
      const answer = await tryCode(await challenged(alice), alice.authenticator.wrongCode())
      t.match(problemOf(answer), invalidCode)
    }
    const refused = await tryCode(spare, alice.authenticator.code())
    t.match(problemOf(refused), limited, 'even the right one')
    t.ok(Number(refused.headers['retry-after']) > 0)
    t.match(problemOf(await logInFrom(newAddress(), alice)), limited, 'and the password')
    t.match(problemOf(await tryCode(spare, alice.recoveryCodes[0] ?? '')), limited)
    t.equal(
      (await tryCode(ofDevice, alice.authenticator.code())).statusCode,
      200,
      'a known device is not locked out (H08)',
    )
    t.equal((await logIn(on.bob)).statusCode, 200, 'another account has its own')
  })

  await t.test('at once', async (t) => {
    const alice = await someone()
    const token = await challenged(alice)
    const wrong = alice.authenticator.wrongCode()
    const answers = await Promise.all(Array.from({ length: 3 * max }, () => tryCode(token, wrong)))
    t.equal(answers.filter(({ statusCode }) => statusCode === 401).length, max)
    t.equal(answers.filter(({ statusCode }) => statusCode === 429).length, 2 * max)
  })

  await t.test('together with wrong passwords', async (t) => {
    const alice = await someone()
    const token = await challenged(alice)
    for (let guess = 0; guess < max; guess++) await logInFrom(newAddress(), alice, 'wrong')
    t.match(problemOf(await tryCode(token, alice.authenticator.code())), limited)
  })

  await t.test('in a session, too', async (t) => {
    const alice = await someone()
    const wrong = { code: alice.authenticator.wrongCode() }
    for (const url of ['totp/delete', 'recovery-codes', 'totp/delete', 'recovery-codes'])
      t.match(problemOf(await alice.call('POST', `/api/auth/mfa/${url}`, wrong)), invalidCode, url)
    const right = { code: alice.authenticator.code() }
    t.match(problemOf(await alice.call('POST', '/api/auth/mfa/totp/delete', right)), limited)
    t.match(problemOf(await alice.call('POST', '/api/auth/reauthenticate', { password, ...right })), limited)
  })

  await t.test('which a reset by mail gives anew for passwords only', async (t) => {
    const alice = await someone()
    await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
    const token = await challenged(alice)
    for (let guess = 0; guess < max; guess++) await tryCode(token, alice.authenticator.wrongCode())
    await post(app, 'password/forgot', { email: alice.email })
    await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: chosen })
    const answer = await logInFrom('127.0.0.1', alice, chosen)
    t.match(problemOf(answer), { code: 'second_factor_required' }, 'who reads the mailbox')
    t.match(
      problemOf(await tryCode(answer.json().mfa_token, alice.authenticator.code())),
      limited,
      'guesses no more',
    )
  })
})
