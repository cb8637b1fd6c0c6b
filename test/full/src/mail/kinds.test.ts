import { readdirSync, readFileSync } from 'node:fs'
import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t, { type Test } from 'tap'
import type { MailName, NoticeKind } from '../../../../src/mail/kinds.ts'
import { english } from '../../../../src/mail/texts.ts'
import { keptOpen, migratedDatabase, password, testApp } from '../../../helper.ts'
import { enrol } from '../../../support/authenticator.ts'
import { forgetMails, mailTo, post, tokenTo } from '../../../support/mailbox.ts'
import { basic, serviceClients } from '../../../support/service-client.ts'

/** Part of every text that a user chooses here; no mail may contain it. */
const userText = 'strangerswords'
const victim = 'victim@example.com'
const chosen = 'another battery staple'
const key = { name: userText, scopes: ['tasks:read'], expires_in_days: 1 }

/** A user with a session, made by an app that opens one at signup. */
interface Party {
  readonly email: string
  call(method: string, url: string, payload?: unknown): Promise<LightMyRequestResponse>
  readonly refreshToken: string
}

/** Someone with a second factor. */
interface Enrolled extends Party {
  readonly code: () => string
  readonly wrongCode: () => string
  readonly recoveryCodes: readonly string[]
}

/** Both modes of the service on one database, and the addresses that have been verified. */
interface Stage {
  readonly open: FastifyInstance
  readonly strict: FastifyInstance
  readonly verifiedEmails: Set<string>
  party(email: string): Promise<Party>
  verified(email: string): Promise<Party>
  enrolled(email: string): Promise<Enrolled>
  /** Uses the newest link mailed to an address. */
  use(app: FastifyInstance, email: string): Promise<void>
}

const operator = { authorization: basic('desk') }

type Cause = (stage: Stage) => Promise<void>

const strictSignup = (strict: FastifyInstance, email: string, password: string) =>
  post(strict, 'signup', { email, password, name: userText })

/**
 * Every way to cause each mail. A new mail or notice kind does not compile until it is listed here, and a new call
 * fails the last test.
 */
const causes: Record<MailName, Record<string, Cause>> = {
  verify_email: {
    signup: async ({ party }) => void (await party(victim)),
    'signup, verification required': async ({ strict }) =>
      void (await strictSignup(strict, victim, password)),
    'the same signup again': async ({ strict }) => {
      await strictSignup(strict, victim, password)
      await tokenTo(strict, victim)
      await forgetMails(strict)
      await strictSignup(strict, victim, password)
    },
    resend: async ({ open, party }) => {
      await party(victim)
      await post(open, 'email/resend', { email: victim })
    },
    'change to an unverified address': async ({ party }) => {
      await party(victim)
      const eve = await party('eve@example.com')
      await eve.call('PUT', '/api/auth/email', { new_email: victim, password })
    },
  },
  choose_password: {
    'two signups': async ({ strict }) => {
      await strictSignup(strict, victim, password)
      await strictSignup(strict, victim, chosen)
    },
    'resend after two signups': async ({ strict }) => {
      await strictSignup(strict, victim, password)
      await strictSignup(strict, victim, chosen)
      await tokenTo(strict, victim)
      await forgetMails(strict)
      await post(strict, 'email/resend', { email: victim })
    },
    'a signup with the address of an account in use': async ({ strict, party }) => {
      await party(victim)
      await strictSignup(strict, victim, chosen)
    },
  },
  invitation: {
    'an operator': async ({ open }) => {
      const payload = { email: victim, name: userText }
      await open.inject({ method: 'POST', url: '/api/admin/invitations', payload, headers: operator })
    },
  },
  reset_password: {
    'an operator': async ({ open, verified }) => {
      await verified(victim)
      const [{ id }] = (
        await open.inject({ url: `/api/admin/users?email=${victim}`, headers: operator })
      ).json()
      await open.inject({ method: 'POST', url: `/api/admin/users/${id}/password/reset`, headers: operator })
    },
    forgot: async ({ open, verified }) => {
      await verified(victim)
      await post(open, 'password/forgot', { email: victim })
    },
    'forgot, never verified': async ({ open, party }) => {
      await party(victim)
      await post(open, 'password/forgot', { email: victim })
    },
  },
  already_registered: {
    signup: async ({ strict, verified }) => {
      await verified(victim)
      await strictSignup(strict, victim, chosen)
    },
    'change of address': async ({ party, verified }) => {
      await verified(victim)
      const eve = await party('eve@example.com')
      await eve.call('PUT', '/api/auth/email', { new_email: victim, password })
    },
  },
  confirm_email_change: {
    'change of address': async ({ party }) => {
      const eve = await party('eve@example.com')
      await eve.call('PUT', '/api/auth/email', { new_email: victim, password })
    },
  },
  email_change_requested: {
    'change of address': async ({ verified }) => {
      const owner = await verified(victim)
      await owner.call('PUT', '/api/auth/email', { new_email: 'eve@example.com', password })
    },
  },
  email_changed: {
    'change of address': async ({ open, verified, use }) => {
      const owner = await verified(victim)
      await owner.call('PUT', '/api/auth/email', { new_email: 'eve@example.com', password })
      await use(open, 'eve@example.com')
    },
    'change taken back': async ({ open, verified, use }) => {
      const owner = await verified(victim)
      await owner.call('PUT', '/api/auth/email', { new_email: 'eve@example.com', password })
      const undo = await tokenTo(open, victim)
      await use(open, 'eve@example.com')
      await post(open, 'password/reset', { token: undo, new_password: chosen })
    },
  },
  password_changed: {
    'change of password': async ({ verified }) => {
      const owner = await verified(victim)
      await owner.call('PUT', '/api/auth/password', { current_password: password, new_password: chosen })
    },
  },
  password_reset: {
    reset: async ({ open, verified, use }) => {
      await verified(victim)
      await post(open, 'password/forgot', { email: victim })
      await use(open, victim)
    },
    'reset, never verified': async ({ open, party, use }) => {
      await party(victim)
      await post(open, 'password/forgot', { email: victim })
      await use(open, victim)
    },
    'choice of a password': async ({ strict, use }) => {
      await strictSignup(strict, victim, password)
      await strictSignup(strict, victim, chosen)
      await use(strict, victim)
    },
  },
  api_key_created: {
    'a new key': async ({ verified }) => {
      const owner = await verified(victim)
      await owner.call('POST', '/api/auth/keys', key)
    },
  },
  refresh_token_reused: {
    theft: async ({ open, verified }) => {
      const { refreshToken: refresh_token } = await verified(victim)
      const next = (await post(open, 'refresh', { refresh_token })).json()
      await post(open, 'refresh', { refresh_token: next.refresh_token })
      await post(open, 'refresh', { refresh_token })
    },
  },
  factor_added: {
    enrolment: async ({ enrolled }) => void (await enrolled(victim)),
  },
  factor_removed: {
    removal: async ({ enrolled }) => {
      const owner = await enrolled(victim)
      await owner.call('POST', '/api/auth/mfa/totp/delete', { code: owner.code() })
    },
    'a second signup, then the mailbox': async ({ open, strict, verifiedEmails, party }) => {
      await enrol(await party(victim))
      await post(open, 'email/resend', { email: victim })
      const link = await tokenTo(open, victim)
      await strictSignup(strict, victim, chosen)
      await post(open, 'email/verify', { token: link })
      verifiedEmails.add(victim)
    },
  },
  second_factor_failed: {
    'wrong code': async ({ enrolled }) => {
      const owner = await enrolled(victim)
      await owner.call('POST', '/api/auth/mfa/totp/delete', { code: owner.wrongCode() })
    },
  },
  recovery_code_used: {
    login: async ({ open, enrolled }) => {
      const { recoveryCodes } = await enrolled(victim)
      const { mfa_token } = (await post(open, 'login', { email: victim, password })).json()
      await post(open, 'login/second-factor', { mfa_token, code: recoveryCodes[0] })
    },
  },
  recovery_codes_replaced: {
    'new codes': async ({ enrolled }) => {
      const owner = await enrolled(victim)
      await owner.call('POST', '/api/auth/mfa/recovery-codes', { code: owner.code() })
    },
  },
}

/** Mails that verify an address, and so may go to an unverified one. */
const verifying: ReadonlySet<MailName> = new Set([
  'verify_email',
  'choose_password',
  'invitation',
  'reset_password',
  'confirm_email_change',
])

async function stage(t: Test): Promise<Stage> {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const open = await testApp(t, {
    db: keptOpen(db),
    env: serviceClients({ desk: ['admin:read', 'admin:write'] }),
  })
  const strict = await testApp(t, { db: keptOpen(db), env: { REQUIRE_EMAIL_VERIFICATION: 'true' } })
  // Two workers on one outbox would race.
  await strict.mailWorker?.stop(5_000)
  Object.assign(strict, { mailWorker: open.mailWorker, mailbox: open.mailbox })
  Object.assign(strict.mail, { wake: open.mail.wake })
  const verifiedEmails = new Set<string>()
  const headers = { 'user-agent': userText }
  const party = async (email: string): Promise<Party> => {
    const payload = { email, password, name: userText }
    const made = (await open.inject({ method: 'POST', url: '/api/auth/signup', payload, headers })).json()
    const authorization = `Bearer ${made.token}`
    return {
      email,
      refreshToken: made.refresh_token,
      call: (method, url, payload) =>
        open.inject({
          method: method as 'PUT',
          url,
          payload: payload as object,
          headers: { ...headers, authorization },
        }),
    }
  }
  const use = async (app: FastifyInstance, email: string) => {
    const token = await tokenTo(app, email)
    const [{ link = '' } = {}] = await mailTo(app, email)
    const answer = link?.includes('/reset-password')
      ? await post(app, 'password/reset', { token, new_password: chosen })
      : await post(app, 'email/verify', { token })
    if (answer.statusCode !== 204) throw new Error(answer.body)
    verifiedEmails.add(email)
  }
  const verified = async (email: string) => {
    const made = await party(email)
    await use(open, email)
    return made
  }
  const enrolled = async (email: string) => {
    const made = await verified(email)
    const { authenticator, recoveryCodes } = await enrol(made)
    // The present code is used up; the next is good already.
    return {
      ...made,
      recoveryCodes,
      code: () => authenticator.code(1),
      wrongCode: () => authenticator.wrongCode(),
    }
  }
  return { open, strict, verifiedEmails, party, verified, enrolled, use }
}

for (const [name, ways] of Object.entries(causes) as [MailName, Record<string, Cause>][]) {
  for (const [way, cause] of Object.entries(ways)) {
    t.test(`${name} by ${way} goes to its recipient only, without text of another user`, async (t) => {
      const on = await stage(t)
      await cause(on)
      await on.open.mailWorker?.settled()
      const mails = on.open.mailbox?.mails ?? []
      t.ok(
        mails.some((mail) => mail.name === name),
        mails.map((mail) => mail.name).join(),
      )
      for (const mail of mails) {
        t.ok(on.verifiedEmails.has(mail.to) || verifying.has(mail.name), `${mail.name} to ${mail.to}`)
        t.notMatch([mail.subject, mail.text, mail.html].join('\n'), userText, mail.name)
      }
    })
  }
}

t.test('no notice goes to an unverified address', async (t) => {
  const { open, party, use } = await stage(t)
  const eve = await party(victim)
  t.equal((await eve.call('POST', '/api/auth/keys', key)).statusCode, 201)
  await eve.call('PUT', '/api/auth/password', { current_password: password, new_password: chosen })
  const next = (await post(open, 'refresh', { refresh_token: eve.refreshToken })).json()
  await post(open, 'refresh', { refresh_token: next.refresh_token })
  const login = await post(open, 'login', { email: victim, password: chosen })
  await post(open, 'refresh', { refresh_token: eve.refreshToken })
  await open.inject({
    method: 'PUT',
    url: '/api/auth/email',
    payload: { new_email: 'eve@example.com', password: chosen },
    headers: { authorization: `Bearer ${login.json().token}` },
  })
  await use(open, 'eve@example.com')
  await open.mailWorker?.settled()
  t.same(
    open.mailbox?.mails.filter(({ to }) => to === victim).map(({ name }) => name),
    ['verify_email'],
  )
})

t.test('every mail, and every call that sends one, is listed here', async (t) => {
  t.same(Object.keys(causes).sort(), Object.keys(english.mails).sort())
  const sources = readdirSync('src', { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.ts'))
    .map((file) => readFileSync(`src/${file}`, 'utf8'))
    .join('\n')
  const noticed = [...sources.matchAll(/\bnotices\.push\(\{\s*kind: '(\w+)'/g)].map(([, kind]) => kind)
  const expected: NoticeKind[] = [
    'api_key_created',
    'email_change_requested',
    'email_changed',
    'email_changed',
    'factor_added',
    'factor_removed',
    'password_changed',
    'password_reset',
    'recovery_code_used',
    'recovery_codes_replaced',
    'refresh_token_reused',
    'second_factor_failed',
  ]
  t.same(noticed.sort(), expected)
  t.equal([...sources.matchAll(/\bnotices\.push\(/g)].length, noticed.length)
  const requests = [...sources.matchAll(/\brequest\(/g)].length
  t.equal(requests, 7, 'one declaration, and six calls')
})
