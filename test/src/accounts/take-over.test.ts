import { randomUUID } from 'node:crypto'
import { type RawBuilder, sql } from 'kysely'
import t from 'tap'
import { insertImported } from '../../../src/import/repository.ts'
import type { CanonicalEmail } from '../../../src/users/email.ts'
import { password, problemOf, testApp, twoUsers } from '../../helper.ts'
import { enrol } from '../../support/authenticator.ts'
import { forgetMails, mailTo, post, tokenTo } from '../../support/mailbox.ts'

const chosen = 'another battery staple'

t.test('a reset that first verifies an address removes what the earlier signup stored (E11)', async (t) => {
  const { app, alice: attacker, bob } = await twoUsers(t)
  const keyed = { headers: { 'idempotency-key': randomUUID() } }
  const task = { title: 'Pay at evil.example' }
  await attacker.call('POST', attacker.tasks, task, keyed)
  const wanted = { name: 'x', scopes: ['tasks:read'], expires_in_days: 365 }
  const { key } = (await attacker.call('POST', '/api/auth/keys', wanted)).json()
  const byKey = { url: attacker.tasks, headers: { authorization: `Bearer ${key}` } }
  t.equal((await app.inject(byKey)).statusCode, 200)
  await bob.call('POST', bob.tasks, { title: 'mine' }, { headers: { 'idempotency-key': randomUUID() } })
  await attacker.call('PATCH', '/api/auth/me', { name: 'Pay me' })
  await attacker.call('PUT', '/api/auth/email', { new_email: 'attacker@example.com', password })
  const change = await tokenTo(app, 'attacker@example.com')
  const verification = await tokenTo(app, attacker.email)
  await forgetMails(app)
  await post(app, 'password/forgot', { email: attacker.email })
  const [reset] = await mailTo(app, attacker.email)
  t.match(reset?.text, /begins the account anew/)
  const token = await tokenTo(app, attacker.email)
  await sql`insert into mail_outbox (kind, recipient, user_id, next_attempt_at)
    values ('email_change', 'attacker2@example.com', ${attacker.id}, now() + interval '1 hour')`.execute(
    app.db,
  )
  t.equal((await post(app, 'password/reset', { token, new_password: chosen })).statusCode, 204)

  // Every table with a foreign key to users, so that a new one is not forgotten.
  const { rows } = await sql<{ table: string; column: string }>`
    select c.conrelid::regclass::text as table, a.attname as column from pg_constraint c
    join pg_attribute a on a.attrelid = c.conrelid and a.attnum = c.conkey[1]
    where c.contype = 'f' and c.confrelid = 'users'::regclass order by 1`.execute(app.db)
  t.ok(rows.length >= 7)
  // Sent mails are history; the notice and the record of the reset are the victim's.
  const remaining: Record<string, RawBuilder<unknown>> = {
    mail_outbox: sql`state = 'waiting' and kind <> 'password_reset'`,
    password_resets: sql`false`,
  }
  for (const { table, column } of rows) {
    const owned =
      await sql`select 1 from ${sql.table(table)} where ${sql.ref(column)} = ${attacker.id} and ${remaining[table] ?? sql`true`}`.execute(
        app.db,
      )
    t.equal(owned.rows.length, 0, table)
  }
  for (const old of [change, verification]) {
    t.match(problemOf(await post(app, 'email/verify', { token: old })), { code: 'invalid_token' })
  }
  t.equal((await attacker.call('GET', '/api/auth/me')).statusCode, 401)
  t.equal((await app.inject(byKey)).statusCode, 401)
  t.equal((await post(app, 'refresh', { refresh_token: attacker.refreshToken })).statusCode, 401)
  const login = (await post(app, 'login', { email: attacker.email, password: chosen })).json()
  t.match(login.user, { id: attacker.id, name: 'User', email_verified: true })
  const headers = { authorization: `Bearer ${login.token}` }
  t.same((await app.inject({ url: attacker.tasks, headers })).json(), [])
  const again = await app.inject({
    method: 'POST',
    url: attacker.tasks,
    payload: task,
    headers: { ...headers, ...keyed.headers },
  })
  t.equal(again.headers['idempotent-replayed'], undefined)
  t.notMatch((await mailTo(app, attacker.email))[0]?.text, /Pay me/)
  t.match((await bob.call('GET', bob.tasks)).json(), [{ title: 'mine' }])
})

t.test('a second factor stays, so that the mailbox does not get around it', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const { recoveryCodes } = await enrol(alice)
  await post(app, 'password/forgot', { email: alice.email })
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: chosen })
  const asked = await post(app, 'login', { email: alice.email, password: chosen })
  t.match(problemOf(asked), { status: 403, code: 'second_factor_required' })
  const { mfa_token } = asked.json()
  const [code] = recoveryCodes
  t.match((await post(app, 'login/second-factor', { mfa_token, code })).json().user, { id: alice.id })
  t.equal((await post(app, 'login', { email: bob.email, password })).statusCode, 200)
})

t.test('an account with a verified address keeps everything but its sessions', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await alice.call('POST', alice.tasks, { title: 'mine' })
  await post(app, 'password/forgot', { email: alice.email })
  t.notMatch((await mailTo(app, alice.email))[0]?.text, /anew/)
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: chosen })
  const login = (await post(app, 'login', { email: alice.email, password: chosen })).json()
  t.match(login.user, { name: 'alice' })
  const tasks = await app.inject({ url: alice.tasks, headers: { authorization: `Bearer ${login.token}` } })
  t.match(tasks.json(), [{ title: 'mine' }])
})

t.test('an unverified account in use keeps its content when it is verified before the reset', async (t) => {
  const { app, alice } = await twoUsers(t)
  await alice.call('POST', alice.tasks, { title: 'mine' })
  await forgetMails(app)
  await post(app, 'email/resend', { email: alice.email })
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await post(app, 'password/forgot', { email: alice.email })
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: chosen })
  const login = (await post(app, 'login', { email: alice.email, password: chosen })).json()
  const tasks = await app.inject({ url: alice.tasks, headers: { authorization: `Bearer ${login.token}` } })
  t.match(tasks.json(), [{ title: 'mine' }])
})

t.test('a signup with the address of an imported account does not change its name', async (t) => {
  const app = await testApp(t, { env: { REQUIRE_EMAIL_VERIFICATION: 'true' } })
  const email = 'imported@example.com' as CanonicalEmail
  await insertImported(app.db, [
    { id: 'old1', email, name: 'Ida', passwordHash: null, emailVerified: false, createdAt: undefined },
  ])
  await post(app, 'signup', { email, password, name: 'pwned' })
  t.match((await mailTo(app, email))[0], { name: 'choose_password' })
  t.notMatch((await mailTo(app, email))[0]?.text, /anew|pwned/)
  await post(app, 'password/reset', { token: await tokenTo(app, email), new_password: chosen })
  t.match((await post(app, 'login', { email, password: chosen })).json(), {
    user: { id: 'old1', name: 'Ida' },
  })
})

t.test('mails greet by a name that was set after the reset, not before', async (t) => {
  const { app, alice } = await twoUsers(t)
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await post(app, 'password/forgot', { email: alice.email })
  t.notMatch((await mailTo(app, alice.email))[0]?.text, /Hello/)
  await alice.call('PATCH', '/api/auth/me', { name: 'Alice' })
  await post(app, 'password/forgot', { email: alice.email })
  t.match((await mailTo(app, alice.email))[0]?.text, /^Hello Alice,/)
})
