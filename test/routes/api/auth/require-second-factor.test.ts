import t from 'tap'
import { keptOpen, migratedDatabase, password, problemOf, signUp, testApp } from '../../../helper.ts'
import { claimsOf, withToken } from '../../../support/authenticator.ts'
import { post } from '../../../support/mailbox.ts'
import { mint } from '../../../support/mint.ts'
import { secondFactorStage } from '../../../support/second-factor-stage.ts'
import { basic, form, serviceClients } from '../../../support/service-client.ts'

const enrolmentRequired = { status: 403, code: 'second_factor_enrolment_required' }

t.test('with `all`, an account without a second factor gets to set one up, and nothing else', async (t) => {
  const on = await secondFactorStage(t, {
    env: { REQUIRE_SECOND_FACTOR: 'all', ...serviceClients({ gateway: ['introspect'] }) },
    extend: (app) => {
      app.get('/greeting', { config: { access: 'optional' } }, async ({ user }) => ({
        sub: user?.sub ?? null,
      }))
      app.get('/strong', { config: { access: 'user', acr: 'aal2' } }, async () => 'ok')
    },
  })
  const { app, alice, bob, time } = on
  const introspect = async ({ token }: typeof alice) => {
    const answer = await app.inject(form('/oauth/introspect', { token }, { authorization: basic('gateway') }))
    return answer.json()
  }

  const closed: [string, string, object?][] = [
    ['GET', alice.tasks],
    ['POST', alice.tasks, { title: 'x' }],
    ['GET', '/api/auth/sessions'],
    ['PATCH', '/api/auth/me', { name: 'x' }],
    ['PUT', '/api/auth/password', { current_password: password, new_password: 'another battery staple' }],
    ['POST', '/api/auth/me/delete', { password }],
    ['GET', '/strong'],
  ]
  for (const [method, url, body] of closed)
    t.match(problemOf(await alice.call(method, url, body)), enrolmentRequired, `${method} ${url}`)
  t.match(problemOf(await alice.call('GET', bob.tasks)), enrolmentRequired, 'whoever owns it')
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 200)
  t.equal((await alice.call('GET', '/api/auth/mfa')).statusCode, 200)
  t.equal((await alice.call('POST', '/api/auth/reauthenticate', { password })).statusCode, 200)
  const refreshed = await post(app, 'refresh', { refresh_token: alice.refreshToken })
  t.equal(refreshed.statusCode, 200)
  t.same((await alice.call('GET', '/greeting')).json(), { sub: null }, 'optional knows nobody')
  t.same(await introspect(alice), { active: false }, 'nor does introspection')

  const enrolled = await on.enrolled(alice)
  t.match(problemOf(await alice.call('GET', alice.tasks)), enrolmentRequired, 'until it reauthenticates')
  const code = enrolled.authenticator.code()
  const answer = await alice.call('POST', '/api/auth/reauthenticate', { password, code })
  const strong = withToken(alice, answer)
  t.equal((await strong.call('GET', alice.tasks)).statusCode, 200)
  t.equal((await strong.call('GET', bob.tasks)).statusCode, 403)
  t.equal(problemOf(await strong.call('GET', bob.tasks)).code, 'not_owner')
  t.same((await strong.call('GET', '/greeting')).json(), { sub: alice.id })
  t.match(await introspect(strong), { active: true, acr: 'aal2', amr: ['pwd', 'otp'] })
  t.match(problemOf(await bob.call('GET', bob.tasks)), enrolmentRequired, 'another user has none yet')

  const loggedIn = withToken(alice, await on.logInFully(enrolled))
  t.equal((await loggedIn.call('GET', alice.tasks)).statusCode, 200)
  time.now += 30
  const removed = await loggedIn.call('POST', '/api/auth/mfa/totp/delete', {
    code: enrolled.authenticator.code(),
  })
  t.equal(removed.statusCode, 204)
  for (const user of [strong, loggedIn])
    t.equal(
      (await user.call('GET', alice.tasks)).statusCode,
      401,
      'no token goes on to say that there is one',
    )
  const back = withToken(alice, await on.logIn(alice))
  t.match(problemOf(await back.call('GET', alice.tasks)), enrolmentRequired)
  t.equal((await back.call('POST', '/api/auth/logout')).statusCode, 204)
})

t.test(
  'with `all`, users of other issuers are not concerned, unless they name an account of here',
  async (t) => {
    const { app, alice } = await secondFactorStage(t, { env: { REQUIRE_SECOND_FACTOR: 'all' } })
    const listOf = (sub: string, claims: object = {}) => {
      const token = mint({ typ: 'JWT' }, { iss: undefined, aud: undefined, sid: undefined, sub, ...claims })
      return app.inject({ url: `/api/${sub}/tasks`, headers: { authorization: `Bearer ${token}` } })
    }
    t.equal((await listOf('someone_elsewhere')).statusCode, 200)
    t.match(problemOf(await listOf(alice.id)), enrolmentRequired)
    t.equal((await listOf(alice.id, { acr: 'aal2' })).statusCode, 200, 'a holder of the secret says so')
  },
)

t.test('with `off`, factors are kept and not asked for', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const on = await secondFactorStage(t, { db: keptOpen(db) })
  const off = await testApp(t, { db: keptOpen(db), env: { REQUIRE_SECOND_FACTOR: 'off' }, clock: on.clock })
  const alice = await on.enrolled(on.alice)
  const credentials = { email: alice.email, password }

  const opened = await post(off, 'login', credentials)
  t.equal(opened.statusCode, 200)
  t.match(claimsOf(opened.json().token), { acr: 'aal1', amr: ['pwd'] })
  const call = (method: 'GET' | 'POST', url: string, payload?: object) =>
    off.inject({
      method,
      url,
      ...(payload ? { payload } : {}),
      headers: { authorization: `Bearer ${opened.json().token}` },
    })
  t.match((await call('GET', '/api/auth/mfa')).json(), { totp: { enabled: true }, recovery_codes_left: 10 })
  const again = await call('POST', '/api/auth/reauthenticate', { password, code: alice.authenticator.code() })
  t.match(claimsOf(again.json().token), { acr: 'aal1' })
  const other = await signUp(off, 'other')
  t.match(claimsOf(other.token), { acr: 'aal1' })

  t.equal(problemOf(await on.logIn(alice)).code, 'second_factor_required', 'turned on again')
  t.equal(
    (await on.secondFactor(await on.challenged(alice), alice.authenticator.code())).statusCode,
    200,
    'no code was used up',
  )
})
