import t from 'tap'
import { eventsOf, ownApp, password, problemOf, signUp, testApp, twoUsers } from '../../../../helper.ts'
import { enrol } from '../../../../support/authenticator.ts'
import { deskOf, deskEnv as env, foreignKey, foreignToken, on } from '../../../../support/desk.ts'
import { mailTo, post, tokenTo } from '../../../../support/mailbox.ts'

t.test('users are listed in pages, and found by address', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const carol = await signUp(app, 'carol')
  const headers = { authorization: `Bearer ${foreignToken('eve')}` }
  await app.inject({ url: '/api/auth/me', headers })
  const desk = deskOf(app)

  const seen: { id: string }[] = []
  let path = 'users?limit=2'
  for (let pages = 1; pages <= 2; pages++) {
    const answer = await desk('GET', path)
    t.equal(answer.json().length, 2)
    seen.push(...answer.json())
    const next = /^<\/api\/admin\/([^>]+)>; rel="next"$/.exec(`${answer.headers['link'] ?? ''}`)?.[1]
    t.equal(next === undefined, pages === 2)
    path = next ?? ''
  }
  t.same(
    seen.map(({ id }) => id),
    [alice.id, bob.id, carol.id, foreignKey('eve')].sort(),
  )

  const found = await desk('GET', `users?email=${encodeURIComponent(bob.email.toUpperCase())}`)
  t.match(found.json(), [
    { id: bob.id, email: bob.email, email_verified: false, issuer: null, second_factor: false, ban: null },
  ])
  t.equal(found.json().length, 1)
  t.same((await desk('GET', 'users?email=nobody@example.com')).json(), [])
  t.match((await desk('GET', 'users?email=eve@example.com')).json(), [{ id: foreignKey('eve') }])
  t.match(problemOf(await desk('GET', 'users?email=bob')), { status: 400, code: 'validation_failed' })

  t.match((await desk('GET', `users/${alice.id}`)).json(), { id: alice.id, name: 'alice' })
  const foreign = await desk('GET', `users/${encodeURIComponent(foreignKey('eve'))}`)
  t.match(foreign.json(), { id: foreignKey('eve'), issuer: 'https://app.example.com' })
  t.match(problemOf(await desk('GET', 'users/nobody')), { status: 404, code: 'user_not_found' })
  t.notMatch(JSON.stringify(seen), /argon2|password/)
})

t.test('sessions are ended, and keys stay', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const wanted = { name: 'x', scopes: ['tasks:read'], expires_in_days: 1 }
  const { key } = (await alice.call('POST', '/api/auth/keys', wanted)).json()
  const desk = deskOf(app)
  t.equal((await desk('POST', on(alice.id, 'sessions/end'))).statusCode, 204)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
  const headers = { authorization: `Bearer ${key}` }
  t.equal((await app.inject({ url: alice.tasks, headers })).statusCode, 200)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)

  const token = foreignToken('eve')
  const asEve = () => app.inject({ url: '/api/auth/me', headers: { authorization: `Bearer ${token}` } })
  t.equal((await asEve()).statusCode, 200)
  t.equal((await desk('POST', on(foreignKey('eve'), 'sessions/end'))).statusCode, 204)
  t.equal((await asEve()).statusCode, 401)
  t.match(problemOf(await desk('POST', on('nobody', 'sessions/end'))), { code: 'user_not_found' })
})

t.test('a lost second factor is removed', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  await enrol(alice)
  await enrol(bob)
  const desk = deskOf(app)
  t.equal((await desk('GET', `users/${alice.id}`)).json().second_factor, true)
  t.equal((await desk('POST', on(alice.id, 'mfa/reset'))).statusCode, 204)
  t.equal((await desk('GET', `users/${alice.id}`)).json().second_factor, false)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200)
  t.equal((await post(app, 'login', { email: bob.email, password })).statusCode, 403)
  const again = await desk('POST', on(alice.id, 'mfa/reset'))
  t.match(problemOf(again), { status: 409, code: 'second_factor_not_enrolled' })
  t.match(problemOf(await desk('POST', on('nobody', 'mfa/reset'))), { code: 'user_not_found' })
})

t.test('a user is deleted with everything, a banned one too', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  await alice.call('POST', alice.tasks, { title: 'hers' })
  const desk = deskOf(app)
  await desk('POST', on(alice.id, 'ban'), { reason: 'Spam' })
  t.equal((await desk('POST', on(alice.id, 'delete'))).statusCode, 204)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await desk('GET', `users/${alice.id}`)).statusCode, 404)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 401)
  t.match(problemOf(await desk('POST', on(alice.id, 'delete'))), { code: 'user_not_found' })
  for (const table of ['tasks', 'sessions', 'one_time_tokens'] as const) {
    const rows = await app.db.selectFrom(table).select('user_id').where('user_id', '=', alice.id).execute()
    t.same(rows, [], table)
  }
  const bans = await app.db.selectFrom('revocations').select('id').where('ban', '=', true).execute()
  t.same(bans, [], 'no row for an id that nobody has again')
  t.ok((await eventsOf(app, alice)).includes('account_deleted'))
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('a reset is mailed to the account', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  await tokenTo(app, alice.email)
  const desk = deskOf(app)
  t.equal((await desk('POST', on(alice.id, 'password/reset'))).statusCode, 204)
  const token = await tokenTo(app, alice.email)
  t.match(
    (await mailTo(app, bob.email)).map(({ name }) => name),
    ['verify_email'],
  )
  const set = await post(app, 'password/reset', { token, new_password: 'another password' })
  t.equal(set.statusCode, 204)
  t.equal((await post(app, 'login', { email: alice.email, password: 'another password' })).statusCode, 200)
  t.ok((await eventsOf(app, alice)).includes('password_reset_requested'))

  const headers = { authorization: `Bearer ${foreignToken('eve')}` }
  await app.inject({ url: '/api/auth/me', headers })
  for (const id of [foreignKey('eve'), 'nobody'])
    t.match(problemOf(await desk('POST', on(id, 'password/reset'))), { code: 'user_not_found' })
})

t.test('an invitation makes an account that its mail opens', async (t) => {
  const app = await testApp(t, { env })
  const desk = deskOf(app)
  const email = 'ann@example.com'
  const answer = await desk('POST', 'invitations', { email: 'Ann@Example.com', name: 'Ann' })
  t.equal(answer.statusCode, 201)
  t.match(answer.json(), { email, name: 'Ann', email_verified: false, ban: null })
  t.equal((await post(app, 'login', { email, password })).statusCode, 401, 'there is no password yet')

  const [mail] = await mailTo(app, email)
  t.match(mail, { name: 'invitation', link: /\/reset-password#token=/ })
  const token = await tokenTo(app, email)
  t.equal((await post(app, 'password/reset', { token, new_password: password })).statusCode, 204)
  t.match((await post(app, 'login', { email, password })).json(), {
    user: { id: answer.json().id, name: 'Ann', email_verified: true },
  })
  t.equal((await post(app, 'password/reset', { token, new_password: password })).statusCode, 400, 'once')

  const taken = await desk('POST', 'invitations', { email })
  t.match(problemOf(taken), { status: 409, title: 'Conflict', code: 'email_already_registered' })
  const invited = await Promise.all(
    Array.from({ length: 3 }, () => desk('POST', 'invitations', { email: 'zoe@example.com' })),
  )
  t.same(invited.map(({ statusCode }) => statusCode).sort(), [201, 409, 409])
  t.equal((await desk('POST', 'invitations', { email: 'x' })).statusCode, 400)
  t.equal((await desk('POST', 'invitations', { email: 'x@example.com', role: 'admin' })).statusCode, 400)
})

t.test('without a mail server nobody is invited', async (t) => {
  const app = await ownApp(t, { env })
  Object.defineProperty(app.mail, 'available', { value: false })
  const desk = deskOf(app)
  const answer = await desk('POST', 'invitations', { email: 'ann@example.com' })
  t.match(problemOf(answer), { status: 503, code: 'mail_unavailable' })
  t.same((await desk('GET', 'users')).json(), [])
})

t.test('every call is an event with the id of its client', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env })
  const desk = deskOf(app)
  await desk('GET', 'users')
  await desk('GET', `users/${alice.id}`)
  await desk('POST', on(alice.id, 'sessions/end'))
  await desk('POST', on(alice.id, 'ban'), { reason: 'Spam' })
  await desk('POST', on(alice.id, 'unban'))
  await desk('POST', on(alice.id, 'mfa/reset'))
  await deskOf(app, 'reader')('POST', on(alice.id, 'delete'))
  await app.securityEvents.flush()
  const answer = await desk('GET', 'events?limit=100')
  const events: { event: string; user_id: string | null; client_id: string | null; ip: string }[] =
    answer.json()
  t.same(
    events
      .filter(({ client_id }) => client_id !== null)
      .map(({ event, user_id, client_id }) => [client_id, event, user_id])
      .reverse(),
    [
      ['desk', 'users_read', null],
      ['desk', 'user_read', alice.id],
      ['desk', 'session_ended', alice.id],
      ['desk', 'tokens_revoked', alice.id],
      ['desk', 'user_banned', alice.id],
      ['desk', 'user_unbanned', alice.id],
      ['desk', 'admin_call_refused', alice.id],
      ['reader', 'admin_call_refused', alice.id],
    ],
  )
  t.ok(events.every(({ ip }) => ip === '127.0.0.1'))

  const ofBob = (await desk('GET', `events?user_id=${bob.id}`)).json()
  t.same(
    ofBob.map(({ event }: { event: string }) => event),
    ['account_created'],
  )
  const created = await desk('GET', 'events?event=account_created&limit=1')
  t.match(created.json(), [{ user_id: bob.id }], 'newest first')
  const next = /<\/api\/admin\/([^>]+)>/.exec(`${created.headers['link']}`)?.[1] ?? ''
  const rest = await desk('GET', next)
  t.match(rest.json(), [{ user_id: alice.id, event: 'account_created' }])
  t.notOk(rest.headers['link'])
  t.ok((await eventsOf(app, bob)).includes('security_events_read'), 'reads too')
  t.equal((await desk('GET', 'events?event=nothing')).statusCode, 400)
})
