import t from 'tap'
import { eventsOf, password, problemOf, signUp } from '../../../helper.ts'
import { claimsOf, withToken } from '../../../support/authenticator.ts'
import { post } from '../../../support/mailbox.ts'
import { mint } from '../../../support/mint.ts'
import { secondFactorStage } from '../../../support/second-factor-stage.ts'

t.test('a session authenticates again, for what asks for a recent or a strong login', async (t) => {
  const on = await secondFactorStage(t, {
    extend: (app) => {
      app.get('/recent', { config: { access: 'user', maxAge: 60 } }, async () => 'ok')
      app.get('/strong', { config: { access: 'user', acr: 'aal2' } }, async () => 'ok')
    },
  })
  const { app, alice, bob, time } = on
  const statusOf = async (user: typeof alice, url: string) => (await user.call('GET', url)).statusCode

  await t.test('with the password', async (t) => {
    await app.db.updateTable('sessions').set({ authenticated_at: '2020-01-01T00:00:00Z' }).execute()
    const old = withToken(alice, await post(app, 'refresh', { refresh_token: alice.refreshToken }))
    t.equal(await statusOf(old, '/recent'), 401)
    const { sid } = claimsOf(bob.token)
    const end = (user: typeof alice) => user.call('DELETE', `/api/auth/sessions/${sid}`)
    t.match(problemOf(await end(old)), { code: 'insufficient_user_authentication' }, 'to end a session, too')
    t.match(problemOf(await old.call('POST', '/api/auth/reauthenticate', { password: 'wrong' })), {
      status: 401,
      code: 'invalid_credentials',
    })
    const answer = await old.call('POST', '/api/auth/reauthenticate', { password, code: 'is not looked at' })
    t.equal(answer.statusCode, 200)
    t.match(answer.json(), { user: { id: alice.id }, token_type: 'Bearer' })
    const again = withToken(alice, answer)
    t.match(claimsOf(again.token), { sid: claimsOf(alice.token).sid, acr: 'aal1', amr: ['pwd'] })
    t.equal(await statusOf(again, '/recent'), 200)
    t.equal(problemOf(await end(again)).code, 'session_not_found', 'it is not one of hers')
    t.equal(await statusOf(again, '/strong'), 401)
    const { auth_time } = claimsOf(again.token)
    const refreshed = withToken(alice, await post(app, 'refresh', { refresh_token: again.refreshToken }))
    t.equal(claimsOf(refreshed.token).auth_time, auth_time, 'a refresh does not change it')

    const ofBob = withToken(bob, await post(app, 'refresh', { refresh_token: bob.refreshToken }))
    t.equal(await statusOf(ofBob, '/recent'), 401, 'another session is as old as before')
  })

  await t.test('the refresh token from before is used up, so that a stolen one gains nothing', async (t) => {
    const carol = await signUp(app, 'carol')
    const again = withToken(carol, await carol.call('POST', '/api/auth/reauthenticate', { password }))
    t.not(again.refreshToken, carol.refreshToken)
    await app.db.updateTable('sessions').set({ last_used_at: '2020-01-01T00:00:00Z' }).execute()
    t.equal((await post(app, 'refresh', { refresh_token: carol.refreshToken })).statusCode, 401)
    t.equal(
      (await post(app, 'refresh', { refresh_token: again.refreshToken })).statusCode,
      401,
      'it was reused',
    )
    t.same(await eventsOf(app, carol), ['refresh_token_reused'])
  })

  await t.test('with password and code, where there is a second factor', async (t) => {
    const dora = await on.enrolled(await signUp(app, 'dora'))
    const ask = (body: object) => dora.call('POST', '/api/auth/reauthenticate', body)
    t.equal(await statusOf(dora, '/strong'), 401, 'the session that enrolled stays as it is')
    const asked = await ask({ password })
    t.match(problemOf(asked), {
      status: 403,
      code: 'second_factor_required',
      methods: ['totp', 'recovery_code'],
    })
    t.notOk('mfa_token' in asked.json())
    t.match(problemOf(await ask({ password: 'wrong', code: dora.authenticator.code() })), {
      status: 401,
      code: 'invalid_credentials',
    })
    t.match(problemOf(await ask({ password, code: dora.authenticator.wrongCode() })), {
      code: 'invalid_code',
    })
    const answer = await ask({ password, code: dora.authenticator.code() })
    t.equal(answer.statusCode, 200, 'the wrong password did not use the code up')
    t.match(claimsOf(answer.json().token), {
      sid: claimsOf(dora.token).sid,
      acr: 'aal2',
      amr: ['pwd', 'otp'],
    })
    t.equal(await statusOf(withToken(dora, answer), '/strong'), 200)
    t.match(problemOf(await ask({ password, code: dora.authenticator.code() })), { code: 'invalid_code' })
    const byRecovery = await ask({ password, code: dora.recoveryCodes[0] })
    t.match(claimsOf(byRecovery.json().token), { acr: 'aal2', amr: ['pwd', 'otp'] })
    t.equal(await statusOf(bob, '/strong'), 401)

    time.now += 30
    const strong = withToken(dora, byRecovery)
    const removed = await strong.call('POST', '/api/auth/mfa/totp/delete', {
      code: dora.authenticator.code(),
    })
    t.equal(removed.statusCode, 204)
    const refreshed = await post(app, 'refresh', { refresh_token: strong.refreshToken })
    t.match(claimsOf(refreshed.json().token), { acr: 'aal1', amr: ['pwd'] }, 'what is removed proves nothing')
  })

  await t.test('but not a token without a session', async (t) => {
    const claims = {
      iss: undefined,
      aud: undefined,
      sid: undefined,
      sub: alice.id,
      iat: time.now,
      exp: time.now + 60,
    }
    const answer = await app.inject({
      method: 'POST',
      url: '/api/auth/reauthenticate',
      payload: { password },
      headers: { authorization: `Bearer ${mint({ typ: 'JWT' }, claims)}` },
    })
    t.match(problemOf(answer), { status: 404, code: 'session_not_found' })
  })
})
