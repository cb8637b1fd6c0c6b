import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { problemOf, testApp } from '../../helper.ts'

const invalid = { status: 400, code: 'validation_failed', errors: [{ path: 'password' }] }
const malformed = { status: 400, code: 'invalid_request' }
const wrong = { status: 401, code: 'invalid_credentials' }

let accounts = 0

/** Signs up a new user with the password. */
async function signUpWith(app: FastifyInstance, password: unknown) {
  const email = `account${accounts++}@example.com`
  const answer = await app.inject({
    method: 'POST',
    url: '/api/auth/signup',
    payload: { email, password, name: 'x' },
  })
  const logIn = (other: unknown) =>
    app.inject({ method: 'POST', url: '/api/auth/login', payload: { email, password: other } })
  return { answer, logIn }
}

t.test('a password has 8 to 128 characters, and a refusal costs no hash (D01)', async (t) => {
  const app = await testApp(t)
  const hashed = t.capture(app.passwords, 'hash', app.passwords.hash)
  for (const length of [8, 64, 128]) {
    const { answer, logIn } = await signUpWith(app, 'p'.repeat(length))
    t.equal(answer.statusCode, 201, `${length} characters`)
    t.equal((await logIn('p'.repeat(length))).statusCode, 200)
  }
  t.equal(hashed().length, 3)
  for (const length of [0, 1, 7, 129, 16_000]) {
    t.match(problemOf((await signUpWith(app, 'p'.repeat(length))).answer), invalid, `${length} characters`)
  }
  const huge = await signUpWith(app, 'p'.repeat(1_000_000))
  t.match(problemOf(huge.answer), { status: 413, code: 'payload_too_large' })
  t.same(hashed(), [])
})

t.test('length is counted in code points after NFC (D02)', async (t) => {
  const app = await testApp(t)
  t.equal((await signUpWith(app, '😀'.repeat(8))).answer.statusCode, 201)
  t.equal((await signUpWith(app, '😀'.repeat(128))).answer.statusCode, 201)
  t.match(problemOf((await signUpWith(app, '😀'.repeat(7))).answer), invalid)
  t.match(problemOf((await signUpWith(app, '😀'.repeat(129))).answer), invalid)
  t.match(problemOf((await signUpWith(app, 'e\u0301'.repeat(7))).answer), invalid, '14 that compose to 7')
})

t.test('a password is not truncated, trimmed or case-folded (D03, D04)', async (t) => {
  const app = await testApp(t)
  const long = 'p'.repeat(72)
  const cases: Record<string, string[]> = {
    [`${long}b`]: [`${long}c`, long],
    'password\0b': ['password\0c', 'password\0', 'password'],
    ' password ': ['password', ' password', 'password '],
    Password: ['password', 'PASSWORD'],
    'tab\tulator': ['tab ulator', 'tabulator'],
    'stra\u00dfe 12': ['strasse 12'],
  }
  for (const [password, others] of Object.entries(cases)) {
    const { answer, logIn } = await signUpWith(app, password)
    t.equal(answer.statusCode, 201, JSON.stringify(password))
    t.equal((await logIn(password)).statusCode, 200, JSON.stringify(password))
    for (const other of others) t.match(problemOf(await logIn(other)), wrong, JSON.stringify(other))
  }
})

t.test('NFC and NFD are one password, compatibility forms are not', async (t) => {
  const app = await testApp(t)
  const composed = 'caf\u00e9 \u00c5ngstr\u00f6m'
  const { logIn } = await signUpWith(app, composed)
  t.equal((await logIn(composed.normalize('NFD'))).statusCode, 200)
  t.match(problemOf(await logIn('cafe Angstrom')), wrong)
  const decomposed = await signUpWith(app, composed.normalize('NFD'))
  t.equal((await decomposed.logIn(composed)).statusCode, 200)
  const ligature = await signUpWith(app, '\ufb00 \ufb00 \ufb00 \ufb00 \u2460')
  t.equal((await ligature.logIn('\ufb00 \ufb00 \ufb00 \ufb00 \u2460')).statusCode, 200)
  t.match(problemOf(await ligature.logIn('ff ff ff ff 1')), wrong)
})

t.test('a password is well-formed Unicode in UTF-8', async (t) => {
  const app = await testApp(t)
  const bodyWith = (password: string) =>
    Buffer.from(`{"email":"d06@example.com","password":"password${password}","name":"x"}`, 'latin1')
  const illFormed = {
    'lone high surrogate': '\\ud800',
    'lone low surrogate': '\\udc00',
    'surrogates in the wrong order': '\\udc00\\ud800',
    'invalid byte': '\xff',
    'truncated sequence': '\xe2\x82',
    'overlong sequence': '\xc0\xaf',
    'surrogate in UTF-8': '\xed\xa0\x80',
  }
  for (const path of ['signup', 'login']) {
    for (const [name, text] of Object.entries(illFormed)) {
      const answer = await app.inject({
        method: 'POST',
        url: `/api/auth/${path}`,
        payload: bodyWith(text),
        headers: { 'content-type': 'application/json' },
      })
      t.match(problemOf(answer), malformed, `${path}: ${name}`)
    }
  }
  t.same(await app.db.selectFrom('users').select('id').execute(), [])
})

t.test('a password is a string (D08)', async (t) => {
  const app = await testApp(t)
  for (const password of [null, 12345678, true, ['password123'], { $ne: '' }, { length: 20 }]) {
    const { answer, logIn } = await signUpWith(app, password)
    t.match(problemOf(answer), invalid, JSON.stringify(password))
    t.match(problemOf(await logIn(password)), invalid, JSON.stringify(password))
  }
})
