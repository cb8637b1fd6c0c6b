import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { password, problemOf, testApp } from '../../helper.ts'
import { emailAddresses } from '../../support/vectors.ts'

const invalid = { status: 400, code: 'validation_failed', errors: [{ path: 'email' }] }
const malformed = { status: 400, code: 'invalid_request' }
const taken = { status: 400, code: 'email_already_registered' }
const wrong = { status: 401, code: 'invalid_credentials' }

const signUpAs = (app: FastifyInstance, email: unknown) =>
  app.inject({ method: 'POST', url: '/api/auth/signup', payload: { email, password, name: 'x' } })
const logInAs = (app: FastifyInstance, email: unknown) =>
  app.inject({ method: 'POST', url: '/api/auth/login', payload: { email, password } })

t.test('addresses that differ in case belong to one account (E01)', async (t) => {
  const app = await testApp(t)
  const made = await signUpAs(app, 'Bob@Example.com')
  t.equal(made.json().user.email, 'bob@example.com')
  for (const email of ['bob@example.com', 'BOB@EXAMPLE.COM', 'Bob@Example.com']) {
    t.match(problemOf(await signUpAs(app, email)), taken, email)
    t.equal((await logInAs(app, email)).json().user.id, made.json().user.id, email)
  }
  for (const email of [' bob@example.com ', 'bob@example.com\n', '\tbob@example.com', 'bob@example.com.']) {
    t.match(problemOf(await signUpAs(app, email)), invalid, JSON.stringify(email))
    t.match(problemOf(await logInAs(app, email)), invalid, JSON.stringify(email))
  }
  const other = await signUpAs(app, 'bob+1@example.com')
  t.not(other.json().user.id, made.json().user.id, 'a tag is part of the address')
})

t.test('lookalikes and case-folding variants of an address reach no account (E02, E03)', async (t) => {
  const app = await testApp(t)
  await signUpAs(app, 'kiss.fi@example.com')
  const lookalikes = {
    'dotless i': 'k\u0131ss.fi@example.com',
    'dotted I': 'K\u0130SS.FI@example.com',
    'Kelvin sign': '\u212aiss.fi@example.com',
    'long s': 'ki\u017f\u017f.fi@example.com',
    'sharp s': 'ki\u00df.fi@example.com',
    ligature: 'kiss.\ufb01@example.com',
    'fullwidth @': 'kiss.fi\uff20example.com',
    'small @': 'kiss.fi\ufe6bexample.com',
    'fullwidth letters': '\uff4biss.fi@example.com',
    'zero width space': 'kiss\u200b.fi@example.com',
    'soft hyphen': 'kiss\u00ad.fi@example.com',
    'right to left override': '\u202ekiss.fi@example.com',
    'combining accent': 'kiss.fi@exa\u0301mple.com',
    'Cyrillic letter': 'k\u0456ss.fi@example.com',
    'Cyrillic domain': 'kiss.fi@ex\u0430mple.com',
    'ideographic full stop': 'kiss.fi@example\u3002com',
    'no-break space': 'kiss.fi@example.com\u00a0',
  }
  for (const [name, email] of Object.entries(lookalikes)) {
    t.match(problemOf(await signUpAs(app, email)), invalid, name)
    t.match(problemOf(await logInAs(app, email)), invalid, name)
  }
})

t.test('an address contains no separator of mail headers or lists (E05)', async (t) => {
  const app = await testApp(t)
  const addresses = [
    'a@example.com\r\nBcc: b@example.com',
    'a\r\n@example.com',
    'a@example.com\n',
    'a@exa\0mple.com',
    'a%0d%0abcc@example.com',
    'a@example.com%0d%0aBcc:b@example.com',
    'a@example.com,b@example.com',
    'a@example.com;b@example.com',
    'a@example.com b@example.com',
    'a@b@example.com',
    '"a@evil.test x"@example.com',
    '"quoted"@example.com',
    '<a@example.com>',
    'Name <a@example.com>',
    'a(comment)@example.com',
    'a@[127.0.0.1]',
    'a@[IPv6:::1]',
    'a@127.0.0.1',
    'a@localhost',
    'a!b@example.com',
    '@relay.test:a@example.com',
    'mailto:a@example.com',
    'a@-example.com',
    'a@example..com',
    '.a@example.com',
    'a..b@example.com',
    `${'a'.repeat(243)}@example.com`,
    `a@${'b'.repeat(64)}.com`,
    '',
    '@',
  ]
  for (const email of addresses)
    t.match(problemOf(await signUpAs(app, email)), invalid, JSON.stringify(email))
  t.same(await app.db.selectFrom('users').select('email').execute(), [])
})

t.test('an address is a single string (E06)', async (t) => {
  const app = await testApp(t)
  await signUpAs(app, 'victim@example.com')
  const several = ['victim@example.com', 'attacker@example.com']
  for (const email of [several, [several[0]], { $ne: '' }, { 0: several[0] }, null, 1, true]) {
    t.match(problemOf(await signUpAs(app, email)), invalid, JSON.stringify(email))
    t.match(problemOf(await logInAs(app, email)), invalid, JSON.stringify(email))
  }
  for (const path of ['signup', 'login']) {
    const twice = await app.inject({
      method: 'POST',
      url: `/api/auth/${path}`,
      headers: { 'content-type': 'application/json' },
      payload: `{"email":"victim@example.com","email":"attacker@example.com","password":"${password}","name":"x"}`,
    })
    t.match(problemOf(twice), malformed, path)
  }
})

/** Well-formed but undeliverable: a reserved domain, a local part that servers refuse. */
const undeliverable = [
  'me@bad.tld-2',
  'me@xn--0.tld',
  'me@yy--0.tld',
  '11111111112222222222333333333344444444445555555555666666666677777@example.com',
  '111111111122222222223333333333444444444455555555556666666666777777@example.com',
]

t.test('addresses of three public test suites (E05)', async (t) => {
  const app = await testApp(t)
  const addresses = emailAddresses()
  t.equal(addresses.length, 352)
  const accepted: string[] = []
  const acceptedAgainst: string[] = []
  // Login validates the address like signup, and creates no account.
  for (const { id, address, category, expect } of addresses) {
    const answer = await logInAs(app, address)
    const problem = problemOf(answer)
    if (answer.statusCode === 401) {
      t.match(problem, wrong)
      accepted.push(address)
      if (expect === 'reject' && !category.includes('reserved')) acceptedAgainst.push(address)
    } else {
      t.match(problem, address.isWellFormed() ? invalid : malformed, `${id} ${address}`)
    }
  }
  t.same(acceptedAgainst, undeliverable)
  t.ok(accepted.length > 20, 'ordinary addresses are accepted')
})

t.test('an undeliverable address cannot sign up; an existing account with one logs in', async (t) => {
  for (const env of [{}, { REQUIRE_EMAIL_VERIFICATION: 'true' }]) {
    const app = await testApp(t, { env })
    const made = env.REQUIRE_EMAIL_VERIFICATION ? 202 : 201
    t.equal((await signUpAs(app, `${'a'.repeat(64)}@example.com`)).statusCode, made)
    const longer = `${'b'.repeat(65)}@example.com`
    t.match(problemOf(await signUpAs(app, longer)), {
      ...invalid,
      errors: [{ path: 'email', message: 'must NOT have more than 64 characters before the @' }],
    })
    t.match(problemOf(await logInAs(app, longer)), wrong)
  }
  const app = await testApp(t)
  const longer = `${'b'.repeat(65)}@example.com`
  const { token } = (await signUpAs(app, 'bob@example.com')).json()
  const change = await app.inject({
    method: 'PUT',
    url: '/api/auth/email',
    payload: { new_email: longer, password },
    headers: { authorization: `Bearer ${token}` },
  })
  t.match(problemOf(change), { status: 400, errors: [{ path: 'new_email' }] })
  await app.db.updateTable('users').set({ email: longer }).execute()
  t.equal((await logInAs(app, longer)).statusCode, 200)
})
