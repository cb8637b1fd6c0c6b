import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import { sql } from 'kysely'
import t, { type Test } from 'tap'
import { insertImported } from '../../../src/import/repository.ts'
import { deleteUnverified } from '../../../src/users/claims.ts'
import type { CanonicalEmail } from '../../../src/users/email.ts'
import {
  keptOpen,
  migratedDatabase,
  password,
  problemOf,
  signUp,
  type TestUser,
  testApp,
} from '../../helper.ts'
import { forgetMails, mailTo, post, tokenTo } from '../../support/mailbox.ts'

const required = { env: { REQUIRE_EMAIL_VERIFICATION: 'true' } }
const other = 'the password of another'
const wrong = { status: 401, code: 'invalid_credentials' }

/** Two users who signed up before the service required verification. */
async function accountsInUse(t: Test) {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const before = await testApp(t, { db: keptOpen(db) })
  const made = [await signUp(before, 'alice'), await signUp(before, 'bob')] as const
  await forgetMails(before)
  await before.close()
  const app = await testApp(t, { ...required, db: keptOpen(db) })
  const caller = (user: TestUser): Caller => ({
    ...user,
    call: (method: 'GET' | 'PUT' | 'POST', url: string, payload?: object) =>
      app.inject({
        method,
        url,
        ...(payload ? { payload } : {}),
        headers: { authorization: `Bearer ${user.token}` },
      }),
  })
  const [alice, bob] = [caller(made[0]), caller(made[1])]
  return { app, alice, bob }
}

interface Caller {
  readonly id: string
  readonly email: string
  readonly tasks: string
  call(method: 'GET' | 'PUT' | 'POST', url: string, payload?: object): Promise<LightMyRequestResponse>
}

const rowsOf = (app: FastifyInstance) => app.db.selectFrom('users').selectAll().orderBy('id').execute()

t.test('no unauthenticated request changes a stored field of an account in use', async (t) => {
  const { app, alice, bob } = await accountsInUse(t)
  const before = await rowsOf(app)
  for (const { email } of [alice, bob]) {
    for (const name of ['pwned', 'again']) await post(app, 'signup', { email, password: other, name })
    await post(app, 'password/forgot', { email })
    await post(app, 'email/resend', { email })
    await post(app, 'login', { email, password: other })
    await app.mailWorker?.settled()
  }
  t.same(await rowsOf(app), before)
  const changed = await alice.call('PUT', '/api/auth/password', {
    current_password: password,
    new_password: 'another battery staple',
  })
  t.equal(changed.statusCode, 204)
  t.match((await alice.call('GET', '/api/auth/me')).json(), { name: 'alice' })
})

t.test('no unauthenticated request changes a stored field of a pending account', async (t) => {
  const app = await testApp(t, required)
  const alice = { email: 'alice@example.com', password, name: 'Alice' }
  await post(app, 'signup', alice)
  const before = await rowsOf(app)
  await post(app, 'signup', { ...alice, password: other, name: 'pwned' })
  t.same(await rowsOf(app), before)
})

t.test('verifying a contested account in use ends every session and voids its password (E11)', async (t) => {
  const { app, alice: attacker, bob } = await accountsInUse(t)
  await post(app, 'signup', { email: attacker.email, password: other, name: 'Victor' })
  t.equal((await mailTo(app, attacker.email))[0]?.name, 'choose_password')
  await post(app, 'email/resend', { email: attacker.email })
  t.equal((await mailTo(app, attacker.email))[0]?.name, 'verify_email')
  t.equal((await post(app, 'email/verify', { token: await tokenTo(app, attacker.email) })).statusCode, 204)
  t.equal((await attacker.call('GET', '/api/auth/me')).statusCode, 401)
  for (const known of [password, other]) {
    t.match(problemOf(await post(app, 'login', { email: attacker.email, password: known })), wrong)
  }
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('the owner of a contested account in use keeps its content by verifying the address', async (t) => {
  const { app, alice } = await accountsInUse(t)
  await alice.call('POST', alice.tasks, { title: 'mine' })
  await post(app, 'signup', { email: alice.email, password: other, name: 'pwned' })
  await app.mailWorker?.settled()
  await post(app, 'email/resend', { email: alice.email })
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  await forgetMails(app)
  await post(app, 'password/forgot', { email: alice.email })
  await post(app, 'password/reset', { token: await tokenTo(app, alice.email), new_password: other })
  const login = (await post(app, 'login', { email: alice.email, password: other })).json()
  t.match(login.user, { id: alice.id, name: 'alice' })
  const tasks = await app.inject({ url: alice.tasks, headers: { authorization: `Bearer ${login.token}` } })
  t.match(tasks.json(), [{ title: 'mine' }])
})

t.test('no password opens a contested pending account, whatever the mode', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const strict = await testApp(t, { ...required, db: keptOpen(db) })
  const alice = { email: 'alice@example.com', password, name: 'Alice' }
  const bob = { email: 'bob@example.com', password, name: 'Bob' }
  for (const user of [alice, bob]) await post(strict, 'signup', user)
  await post(strict, 'signup', { ...alice, password: other })
  await strict.mailWorker?.settled()
  await strict.close()
  const open = await testApp(t, { db: keptOpen(db) })
  for (const known of [password, other]) {
    t.match(problemOf(await post(open, 'login', { email: alice.email, password: known })), wrong)
  }
  t.equal((await post(open, 'login', bob)).statusCode, 400, 'a name is no field of a login')
  t.equal((await post(open, 'login', { email: bob.email, password })).statusCode, 200)
  const claims = await open.db.selectFrom('account_claims').selectAll().orderBy('contested').execute()
  t.match(
    claims,
    [
      { waiting: false, contested: false },
      { waiting: true, contested: true },
    ],
    'bob’s account is in use',
  )
})

t.test('only accounts pending for too long are deleted', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const open = await testApp(t, { db: keptOpen(db) })
  const inUse = await signUp(open, 'inuse')
  const ended = await signUp(open, 'ended')
  await ended.call('POST', '/api/auth/logout')
  await insertImported(db, [
    {
      id: undefined,
      email: 'imported@example.com' as CanonicalEmail,
      name: 'x',
      passwordHash: null,
      emailVerified: false,
      createdAt: undefined,
    },
  ])
  const strict = await testApp(t, { ...required, db: keptOpen(db) })
  for (const email of ['verified@example.com', 'linked@example.com', 'waiting@example.com']) {
    await post(strict, 'signup', { email, password, name: 'x' })
  }
  await strict.mailWorker?.settled()
  await open.mailWorker?.settled()
  await sql`update users set email_verified = true where email = 'verified@example.com'`.execute(db)
  await sql`delete from one_time_tokens where email <> 'linked@example.com'`.execute(db)
  const emails = async () =>
    (await db.selectFrom('users').select('email').orderBy('email').execute()).map(({ email }) => email)
  const all = await emails()
  t.equal(await deleteUnverified(db, 30), 0)
  await sql`update users set created_at = now() - interval '31 days'`.execute(db)
  t.equal(await deleteUnverified(db, 30), 1)
  t.same(
    await emails(),
    all.filter((email) => email !== 'waiting@example.com'),
  )
  t.ok((await emails()).includes(inUse.email) && (await emails()).includes(ended.email))
  const events = await db
    .selectFrom('security_events')
    .select('event')
    .where('event', '=', 'account_deleted')
    .execute()
  t.equal(events.length, 1)
  t.equal(
    (await post(strict, 'signup', { email: 'waiting@example.com', password, name: 'x' })).statusCode,
    202,
  )
})
