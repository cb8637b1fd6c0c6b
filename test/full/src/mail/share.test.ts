import type { FastifyInstance } from 'fastify'
import { sql } from 'kysely'
import t from 'tap'
import { hashToken } from '../../../../src/one-time-tokens/token.ts'
import { password, signUp, testApp, twoUsers } from '../../../helper.ts'
import { forgetMails, mailTo, post, tokenTo } from '../../../support/mailbox.ts'

const chosen = 'another battery staple'

/** Uses up the mailbox’s share with accounts of tagged addresses, as an attacker can. */
async function useUpShare(app: FastifyInstance, email: string): Promise<void> {
  for (const tag of ['a', 'b', 'c', 'd']) {
    await post(app, 'signup', { email: email.replace('@', `+${tag}@`), password, name: 'x' })
  }
  await app.mailWorker?.settled()
}

const names = async (app: FastifyInstance, email: string) =>
  (await mailTo(app, email)).map(({ name }) => name)

/** Expires every reset link. */
async function expireLinks(app: FastifyInstance): Promise<void> {
  await app.mailWorker?.settled()
  await sql`update one_time_tokens set expires_at = now() where purpose = 'password_reset'`.execute(app.db)
  await sql`update mail_outbox set created_at = created_at - interval '31 minutes'`.execute(app.db)
}

for (const verified of [true, false]) {
  t.test(
    `an owner (${verified ? '' : 'not '}verified) gets a reset while an attacker uses up the share`,
    async (t) => {
      const { app, alice, bob } = await twoUsers(t)
      if (verified) await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
      await forgetMails(app)
      await useUpShare(app, alice.email)
      await post(app, 'password/forgot', { email: alice.email })
      t.equal((await names(app, alice.email))[0], 'reset_password')
      const reset = { token: await tokenTo(app, alice.email), new_password: chosen }
      t.equal((await post(app, 'password/reset', reset)).statusCode, 204)
      await post(app, 'password/forgot', { email: bob.email })
      t.equal((await names(app, bob.email))[0], 'reset_password')
    },
  )

  t.test(
    `an address (${verified ? '' : 'not '}verified) is refused a new link only while it has a valid one`,
    async (t) => {
      const { app, alice } = await twoUsers(t)
      if (verified) await post(app, 'email/verify', { token: await tokenTo(app, alice.email) })
      await forgetMails(app)
      // Three in the hour, one after their links have expired; after the hour three more, of which a verified owner has
      // used one.
      for (const mailed of [3, 4, verified ? 6 : 7]) {
        for (let count = 0; count < 6; count++) {
          await post(app, 'password/forgot', { email: alice.email })
          await app.mailWorker?.settled()
        }
        const resets = (await names(app, alice.email)).filter((name) => name === 'reset_password')
        t.equal(resets.length, mailed)
        const good = await app.db
          .selectFrom('one_time_tokens')
          .select('token_hash')
          .where('expires_at', '>', sql<string>`now()`)
          .where('purpose', '=', 'password_reset')
          .execute()
        t.same(
          good.map(({ token_hash }) => Buffer.from(token_hash)),
          [hashToken(await tokenTo(app, alice.email))],
          'the newest link is valid',
        )
        await expireLinks(app)
      }
    },
  )
}

t.test('a verified address with a tag has its own quota of resets', async (t) => {
  const app = await testApp(t)
  const bob = { email: 'bob+shop@example.com', password, name: 'Bob' }
  await post(app, 'signup', bob)
  await post(app, 'email/verify', { token: await tokenTo(app, bob.email) })
  await forgetMails(app)
  await useUpShare(app, 'bob@example.com')
  await post(app, 'password/forgot', { email: bob.email })
  t.equal((await names(app, bob.email))[0], 'reset_password')
})

t.test('accounts that an attacker creates send a mailbox no more than its share (E14)', async (t) => {
  const app = await testApp(t)
  const mailbox = 'victim@example.com'
  const addresses = [mailbox, ...Array.from({ length: 6 }, (_, at) => `victim+${at}@example.com`)]
  for (const email of addresses) await post(app, 'signup', { email, password, name: 'x' })
  for (const path of ['password/forgot', 'email/resend', 'password/forgot']) {
    for (const email of addresses) {
      await post(app, path, { email })
      await app.mailWorker?.settled()
    }
  }
  const mails = app.mailbox?.mails.filter(({ to }) => to.startsWith('victim')) ?? []
  t.ok(mails.length <= 3 + 2, mails.map(({ name, to }) => `${name} ${to}`).join())
  const own = mails.filter(({ to }) => to === mailbox)
  t.ok(own.some(({ name }) => name === 'reset_password'))
})

t.test('an address that is freed and signed up with again gets no larger share (E14)', async (t) => {
  const app = await testApp(t)
  const email = 'victim@example.com'
  for (let round = 0; round < 6; round++) {
    const { token } = (await post(app, 'signup', { email, password, name: 'x' })).json()
    const payload = { new_email: `away${round}@example.org`, password }
    const headers = { authorization: `Bearer ${token}` }
    await app.inject({ method: 'PUT', url: '/api/auth/email', payload, headers })
    await post(app, 'email/verify', { token: await tokenTo(app, payload.new_email) })
  }
  t.equal((await mailTo(app, email)).length, 3)
})

t.test(
  'with verification required, using up the share of a mailbox does not prevent its owner’s signup',
  async (t) => {
    const app = await testApp(t, { env: { REQUIRE_EMAIL_VERIFICATION: 'true' } })
    const bob = { email: 'bob@example.com', password, name: 'Bob' }
    await useUpShare(app, bob.email)
    t.equal((await post(app, 'signup', bob)).statusCode, 202)
    t.equal((await post(app, 'email/verify', { token: await tokenTo(app, bob.email) })).statusCode, 204)
    t.equal((await post(app, 'login', { email: bob.email, password })).statusCode, 200)
    t.same(await mailTo(app, 'bob+d@example.com'), [], 'the fourth')
  },
)

t.test('a request past the quota that mails nothing leaves no row', async (t) => {
  const app = await testApp(t)
  const bob = await signUp(app, 'bob')
  await useUpShare(app, bob.email)
  const rows = async () => {
    await app.mailWorker?.settled()
    return (await app.db.selectFrom('mail_outbox').select('id').execute()).length
  }
  const before = await rows()
  const tagged = bob.email.replace('@', '+a@')
  for (let count = 0; count < 5; count++) await post(app, 'password/forgot', { email: tagged })
  t.equal(await rows(), before)
})
