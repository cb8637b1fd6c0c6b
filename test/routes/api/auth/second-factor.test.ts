import t from 'tap'
import { eventsOf, password, problemOf } from '../../../helper.ts'
import { Authenticator, claimsOf, setUp } from '../../../support/authenticator.ts'
import { post } from '../../../support/mailbox.ts'
import { secondFactorStage } from '../../../support/second-factor-stage.ts'

const required = { status: 403, code: 'second_factor_required' }

t.test('a setup counts for nothing until a code confirms it; then a login takes a code', async (t) => {
  const { app, alice, bob, time, clock, logIn, secondFactor } = await secondFactorStage(t)
  const none = { totp: { enabled: false, confirmed_at: null }, recovery_codes_left: 0 }
  t.same((await alice.call('GET', '/api/auth/mfa')).json(), none)

  t.match(problemOf(await alice.call('POST', '/api/auth/mfa/totp', { password: 'wrong' })), {
    status: 401,
    code: 'invalid_credentials',
  })
  const replaced = await setUp(alice, clock)
  const setup = await alice.call('POST', '/api/auth/mfa/totp', { password })
  const { secret, otpauth_uri } = setup.json()
  t.match(secret, /^[A-Z2-7]{32}$/, '160 bits')
  t.equal(
    otpauth_uri,
    `otpauth://totp/Latchkey:${encodeURIComponent(alice.email)}?secret=${secret}&issuer=Latchkey&algorithm=SHA1&digits=6&period=30`,
  )
  t.equal(setup.headers['cache-control'], 'no-store')
  t.same((await alice.call('GET', '/api/auth/mfa')).json(), none)
  t.equal((await logIn(alice)).statusCode, 200, 'a login takes no code yet')

  const authenticator = new Authenticator(secret, clock)
  const confirm = (code: string) => alice.call('POST', '/api/auth/mfa/totp/confirm', { code })
  t.match(problemOf(await confirm(replaced.code())), { status: 401, code: 'invalid_code' })
  t.match(problemOf(await confirm(authenticator.wrongCode())), { status: 401, code: 'invalid_code' })
  const confirmed = await confirm(authenticator.code())
  t.equal(confirmed.statusCode, 200)
  const codes: string[] = confirmed.json().recovery_codes
  t.equal(new Set(codes).size, 10)
  for (const code of codes) t.match(code, /^([0-9a-hjkmnp-tv-z]{5}-){4}[0-9a-hjkmnp-tv-z]{5}$/)
  t.match((await alice.call('GET', '/api/auth/mfa')).json(), {
    totp: { enabled: true, confirmed_at: /Z$/ },
    recovery_codes_left: 10,
  })
  t.same((await bob.call('GET', '/api/auth/mfa')).json(), none, 'it is nobody else’s')

  const answer = await logIn(alice)
  t.match(problemOf(answer), { ...required, methods: ['totp', 'recovery_code'] })
  const { mfa_token } = answer.json()
  t.match(problemOf(await secondFactor(mfa_token, authenticator.wrongCode())), {
    status: 401,
    code: 'invalid_code',
  })
  t.match(
    problemOf(await secondFactor(mfa_token, authenticator.code())),
    { code: 'invalid_code' },
    'used to confirm',
  )
  time.now += 30
  const opened = await secondFactor(mfa_token, authenticator.code())
  t.equal(opened.statusCode, 200)
  t.match(opened.json().user, { id: alice.id })
  t.match(claimsOf(opened.json().token), { acr: 'aal2', amr: ['pwd', 'otp'] })
  const refreshed = await post(app, 'refresh', { refresh_token: opened.json().refresh_token })
  t.match(claimsOf(refreshed.json().token), { acr: 'aal2', amr: ['pwd', 'otp'] })
  t.match(claimsOf(alice.token), { acr: 'aal1', amr: ['pwd'] })
  t.equal((await logIn(bob)).statusCode, 200)
  // A failed one is written beside the answer.
  t.same((await eventsOf(app, alice)).sort(), [
    'factor_added',
    'login',
    'login',
    'reauthentication_failed',
    'second_factor_failed',
    'second_factor_failed',
    'session_ended',
  ])
})
