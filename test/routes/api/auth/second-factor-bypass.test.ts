import { randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import type { LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import { importUsers } from '../../../../src/import/import.ts'
import { password, problemOf, signUp, type TestUser } from '../../../helper.ts'
import { enrol, setUp, withToken } from '../../../support/authenticator.ts'
import { post, tokenTo } from '../../../support/mailbox.ts'
import { secondFactorStage } from '../../../support/second-factor-stage.ts'

const chosen = 'another battery staple'

/** That an answer opens nothing, and asks for a code. */
function asks(t: Test, answer: LightMyRequestResponse, label: string) {
  t.match(problemOf(answer), { status: 403, code: 'second_factor_required' }, label)
  for (const field of ['token', 'refresh_token', 'user'])
    t.notOk(field in answer.json(), `${label}: ${field}`)
}

const invalidToken = { status: 400, code: 'invalid_token' }
const invalidCode = { status: 401, code: 'invalid_code' }

function tally(answers: readonly LightMyRequestResponse[]): number[] {
  return answers.map(({ statusCode }) => statusCode).sort()
}

t.test('no way to a session goes around the second factor', async (t) => {
  const on = await secondFactorStage(t)
  const { app, bob, time, clock, logIn, secondFactor, challenged, enrolled } = on
  const someone = () => signUp(app, 'someone')

  await t.test('a login, also of a device that is known', async (t) => {
    const alice = await enrolled(await someone())
    asks(t, await logIn(alice), 'login')
    asks(t, await logIn(alice, { refresh_token: alice.refreshToken }), 'known device')
    t.equal((await logIn(bob)).statusCode, 200, 'another user has no factor')
  })

  await t.test('a signup that is sent again with its Idempotency-Key', async (t) => {
    const payload = { email: `${randomUUID()}@example.com`, password, name: 'x' }
    const key = randomUUID()
    const signUpAgain = () =>
      app.inject({
        method: 'POST',
        url: '/api/auth/signup',
        payload,
        headers: { 'idempotency-key': key },
      })
    const made = await signUpAgain()
    t.equal((await signUpAgain()).statusCode, 201, 'the key opens a session before the enrolment')
    const user: TestUser = { ...bob, email: payload.email }
    await enrolled(withToken(user, made))
    asks(t, await signUpAgain(), 'signup')
  })

  await t.test('a reset of the password', async (t) => {
    const alice = await enrolled(await someone())
    await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
    await post(app, 'password/forgot', { email: alice.email })
    const token = await tokenTo(app, alice.email)
    const reset = await post(app, 'password/reset', { token, new_password: chosen })
    t.equal(reset.statusCode, 204)
    t.equal(reset.body, '')
    asks(t, await logIn(alice, { password: chosen }), 'login after the reset')
  })

  await t.test('a change of address', async (t) => {
    const alice = await enrolled(await someone())
    const email = `new.${alice.email}`
    t.equal((await alice.call('PUT', '/api/auth/email', { new_email: email, password })).statusCode, 202)
    await post(app, 'email/verify', { token: await tokenTo(app, email) })
    asks(t, await logIn({ email }), 'login by the new address')
  })

  await t.test('an import of the account', async (t) => {
    const alice = await enrolled(await someone())
    const line = JSON.stringify({ id: alice.id, email: alice.email, name: 'x', password_hash: null })
    const counts = await importUsers(app.db, Readable.from([Buffer.from(line)]), () => {})
    t.match(counts, { imported: 0, alreadyThere: 1 })
    asks(t, await logIn(alice), 'login after the import')
  })

  await t.test('a session that was opened before the enrolment', async (t) => {
    const alice = await someone()
    const other = withToken(alice, await logIn(alice))
    t.equal((await other.call('GET', '/api/auth/me')).statusCode, 200)
    await enrolled(alice)
    t.equal((await other.call('GET', '/api/auth/me')).statusCode, 401)
    t.equal((await post(app, 'refresh', { refresh_token: other.refreshToken })).statusCode, 401)
    t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200, 'the one that enrolled goes on')
    const refreshed = await post(app, 'refresh', { refresh_token: alice.refreshToken })
    t.equal(refreshed.statusCode, 200)
    t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  })

  await t.test('a login whose password was verified before the enrolment', async (t) => {
    const alice = await someone()
    const { verify } = app.passwords
    let meanwhile: (() => Promise<unknown>) | undefined = () => enrolled(alice)
    t.intercept(app.passwords, 'verify', {
      value: async (...given: Parameters<typeof verify>) => {
        const matched = await verify(...given)
        const work = meanwhile
        meanwhile = undefined
        // The setup verifies the password as well.
        await work?.()
        return matched
      },
    })
    asks(t, await logIn(alice), 'login')
    t.equal((await alice.call('GET', '/api/auth/sessions')).json().length, 1, 'no session was opened')
  })

  await t.test('a challenge or a code of another account', async (t) => {
    const [alice, carol] = [await enrolled(await someone()), await enrolled(await someone())]
    const ofCarol = await challenged(carol)
    t.match(problemOf(await secondFactor(ofCarol, alice.authenticator.code())), invalidCode)
    t.match(problemOf(await secondFactor(ofCarol, alice.recoveryCodes[0] ?? '')), invalidCode)
    const opened = await secondFactor(ofCarol, carol.authenticator.code())
    t.match(opened.json().user, { id: carol.id }, 'the token decides whose session it is')
    t.equal(
      (await bob.call('POST', '/api/auth/mfa/totp/delete', { code: alice.authenticator.code() })).statusCode,
      409,
    )
    t.match(
      problemOf(await carol.call('POST', '/api/auth/mfa/totp/delete', { code: alice.authenticator.code() })),
      invalidCode,
    )
    asks(t, await logIn(alice), 'the factor is still there')
  })

  await t.test('a challenge from before a change or reset of the password', async (t) => {
    const alice = await enrolled(await someone())
    const beforeChange = await challenged(alice)
    await alice.call('PUT', '/api/auth/password', { current_password: password, new_password: chosen })
    t.match(problemOf(await secondFactor(beforeChange, alice.authenticator.code())), invalidToken)

    await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
    const beforeReset = await challenged(alice, { password: chosen })
    await post(app, 'password/forgot', { email: alice.email })
    await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: password })
    t.match(problemOf(await secondFactor(beforeReset, alice.authenticator.code())), invalidToken)
    const opened = await secondFactor(await challenged(alice), alice.authenticator.code())
    t.equal(opened.statusCode, 200, 'no code was used up by it')
  })

  await t.test('a challenge from before the factor was removed or replaced', async (t) => {
    const alice = await enrolled(await someone())
    const token = await challenged(alice)
    const removed = await alice.call('POST', '/api/auth/mfa/totp/delete', {
      code: alice.authenticator.code(),
    })
    t.equal(removed.statusCode, 204)
    t.match(problemOf(await secondFactor(token, alice.authenticator.code(1))), invalidToken)
    t.match(problemOf(await secondFactor(token, alice.recoveryCodes[0] ?? '')), invalidToken)
    const again = await enrolled(alice)
    t.match(problemOf(await secondFactor(token, again.authenticator.code())), invalidToken)
    t.match(problemOf(await secondFactor(await challenged(alice), alice.recoveryCodes[0] ?? '')), invalidCode)
  })

  await t.test('a challenge that has been used, has expired, or is none', async (t) => {
    const alice = await enrolled(await someone())
    const token = await challenged(alice)
    t.equal((await secondFactor(token, alice.authenticator.code())).statusCode, 200)
    time.now += 30
    t.match(problemOf(await secondFactor(token, alice.authenticator.code())), invalidToken, 'used')
    t.match(
      problemOf(await secondFactor(token, alice.authenticator.wrongCode())),
      invalidToken,
      'tries no code',
    )
    const late = await challenged(alice)
    time.now += 299
    t.match(
      problemOf(await secondFactor(late, alice.authenticator.wrongCode())),
      invalidCode,
      'good to the last second',
    )
    time.now += 1
    t.match(problemOf(await secondFactor(late, alice.authenticator.code())), invalidToken, 'expired')
    const { token: access, refreshToken } = withToken(alice, await on.logInFully(alice))
    for (const other of [access, refreshToken, `${late}x`, 'x'])
      t.match(problemOf(await secondFactor(other, alice.authenticator.code(1))), invalidToken, other)
    const forged = Buffer.concat([Buffer.alloc(32), Buffer.from(JSON.stringify(['a\0', '', 9e9]))])
    t.match(
      problemOf(await secondFactor(forged.toString('base64url'), alice.authenticator.code(1))),
      invalidToken,
      'an id that PostgreSQL refuses',
    )
    const fresh = await challenged(alice)
    const headers = { authorization: `Bearer ${fresh}` }
    for (const url of ['/api/auth/me', '/api/auth/mfa', alice.tasks])
      t.equal((await app.inject({ url, headers })).statusCode, 401, `no access token at ${url} (F09)`)
    t.equal((await post(app, 'refresh', { refresh_token: fresh })).statusCode, 401)
    t.match(
      problemOf(await post(app, 'password/reset', { token: fresh, new_password: chosen })),
      invalidToken,
    )
    t.match(problemOf(await post(app, 'email/verify', { token: fresh })), invalidToken)
  })

  await t.test('parallel uses of one code, with one challenge or with many', async (t) => {
    const alice = await enrolled(await someone())
    const one = await challenged(alice)
    const code = alice.authenticator.code()
    const same = await Promise.all(Array.from({ length: 5 }, () => secondFactor(one, code)))
    t.same(tally(same).slice(0, 1), [200])
    t.equal(same.filter(({ statusCode }) => statusCode === 200).length, 1)

    time.now += 30
    const many = await Promise.all(Array.from({ length: 4 }, () => challenged(alice)))
    const next = alice.authenticator.code()
    t.same(tally(await Promise.all(many.map((token) => secondFactor(token, next)))), [200, 401, 401, 401])
    t.match(
      problemOf(await alice.call('POST', '/api/auth/mfa/recovery-codes', { code: next })),
      invalidCode,
      'nor at another route',
    )
    time.now += 30
    const last = await challenged(alice)
    const both = await Promise.all([
      secondFactor(last, alice.authenticator.code()),
      secondFactor(last, alice.recoveryCodes[0] ?? ''),
    ])
    t.same(tally(both), [200, 400], 'two codes, one challenge')
  })

  await t.test('a code of the past, once a later one was used', async (t) => {
    const alice = await enrolled(await someone())
    const ahead = alice.authenticator.code(1)
    const present = alice.authenticator.code()
    t.equal((await secondFactor(await challenged(alice), ahead)).statusCode, 200)
    t.match(problemOf(await secondFactor(await challenged(alice), present)), invalidCode)
  })

  await t.test('a recovery code that is used twice', async (t) => {
    const alice = await enrolled(await someone())
    const [code = '', another = ''] = alice.recoveryCodes
    const tokens = await Promise.all(Array.from({ length: 4 }, () => challenged(alice)))
    const answers = await Promise.all(tokens.map((token) => secondFactor(token, code)))
    t.same(tally(answers), [200, 401, 401, 401])
    t.equal((await alice.call('GET', '/api/auth/mfa')).json().recovery_codes_left, 9)
    t.equal((await secondFactor(await challenged(alice), another.toUpperCase())).statusCode, 200)
  })

  await t.test('a failed login does not use the code up', async (t) => {
    const alice = await enrolled(await someone())
    const [first, second] = [await challenged(alice), await challenged(alice)]
    const [code = ''] = alice.recoveryCodes
    t.equal((await secondFactor(first, alice.authenticator.code())).statusCode, 200)
    t.match(problemOf(await secondFactor(first, code)), invalidToken)
    t.equal((await secondFactor(second, code)).statusCode, 200)
  })

  await t.test('a setup in place of a confirmed factor', async (t) => {
    const alice = await enrolled(await someone())
    for (const [path, body] of [
      ['', { password }],
      ['/confirm', { code: alice.authenticator.code() }],
    ] as const) {
      const refused = await alice.call('POST', `/api/auth/mfa/totp${path}`, body)
      t.match(problemOf(refused), { status: 409, code: 'second_factor_enrolled' }, path)
    }
    t.equal((await secondFactor(await challenged(alice), alice.authenticator.code())).statusCode, 200)
  })

  await t.test('two confirmations at once', async (t) => {
    const alice = await someone()
    const authenticator = await setUp(alice, clock)
    const confirm = () => alice.call('POST', '/api/auth/mfa/totp/confirm', { code: authenticator.code() })
    const answers = await Promise.all([confirm(), confirm(), confirm()])
    t.same(tally(answers), [200, 409, 409])
    const codes = answers.find(({ statusCode }) => statusCode === 200)?.json().recovery_codes
    t.equal((await secondFactor(await challenged(alice), codes[9])).statusCode, 200)
  })
})

t.test('nothing tells of a second factor before the password is right', async (t) => {
  const { app, alice, bob, logIn, clock } = await secondFactorStage(t)
  await enrol(alice, clock)
  const wrong = async (user: TestUser) => {
    const { statusCode, headers, body } = await logIn(user, { password: 'wrong' })
    const { 'x-request-id': id, date: _, ...others } = headers
    return { statusCode, others, body: body.replaceAll(String(id), 'id') }
  }
  t.same(await wrong(alice), await wrong(bob))
  t.same((await wrong(alice)).statusCode, 401)
  t.equal((await app.inject({ url: '/api/auth/mfa' })).statusCode, 401)
})
