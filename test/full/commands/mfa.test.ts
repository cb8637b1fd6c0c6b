import { join } from 'node:path'
import t from 'tap'
import { resetFactorOf } from '../../../src/commands/mfa.ts'
import { eventsOf, keptOpen, migratedDatabase, problemOf, testConfig } from '../../helper.ts'
import { mailTo, post, tokenTo } from '../../support/mailbox.ts'
import { runCommand } from '../../support/process.ts'
import { secondFactorStage } from '../../support/second-factor-stage.ts'
import { seedDataFolder } from '../../support/snapshot.ts'

t.test('the operator removes the factor of a user who has lost it', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const on = await secondFactorStage(t, { db: keptOpen(db) })
  const { app } = on
  const [alice, bob] = [await on.enrolled(on.alice), await on.enrolled(on.bob)]
  await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
  const challenge = await on.challenged(alice)
  const reset = (user: string) => resetFactorOf(db, testConfig(), user)

  t.equal(await reset(alice.email.toUpperCase()), alice.id, 'by the address')
  t.equal((await post(app, 'refresh', { refresh_token: alice.refreshToken })).statusCode, 401)
  t.match(problemOf(await on.secondFactor(challenge, alice.authenticator.code())), { code: 'invalid_token' })
  t.equal((await on.logIn(alice)).statusCode, 200, 'the password is enough again')
  // Where it is another process, its next look at the outbox finds the mail.
  app.mail.wake()
  const [mail] = await mailTo(app, alice.email)
  t.match(mail, { name: 'factor_removed', text: /From: the operator of the service\./ })
  t.match(await eventsOf(app, alice), [
    'factor_added',
    'email_verified',
    'factor_removed',
    'session_ended',
    'login',
  ])

  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200, 'nobody else is concerned')
  t.equal(problemOf(await on.logIn(bob)).code, 'second_factor_required')
  await t.rejects(reset(alice.id), { message: 'the account has no second factor' })
  for (const nobody of ['nobody@example.com', 'user_01kb3v5rs1e2wbhx4hrsz3zj5e'])
    await t.rejects(reset(nobody), { message: /^no account of this service/ })
  t.equal(await reset(bob.id), bob.id, 'by the id')
  t.equal((await on.logIn(bob)).statusCode, 200)
})

t.test('`mfa reset` is a command', async (t) => {
  const cwd = t.testdir()
  seedDataFolder(join(cwd, 'data'))
  const output = 'latchkey: no account of this service has that id or address\n'
  t.match(await runCommand(t, {}, cwd, 'mfa', 'reset', 'nobody@example.com'), { code: 1, output })
  for (const args of [['mfa'], ['mfa', 'reset'], ['mfa', 'list', 'x'], ['mfa', 'reset', 'x', 'y']])
    t.match(await runCommand(t, {}, cwd, ...args), {
      code: 1,
      output: /^latchkey: usage: .* \| mfa reset <user> \|/,
    })
})
