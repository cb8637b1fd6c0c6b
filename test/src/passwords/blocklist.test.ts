import t from 'tap'
import { loadBlocklist, serviceNames } from '../../../src/passwords/blocklist.ts'
import { keptOpen, migratedDatabase, password, problemOf, signUp, testApp } from '../../helper.ts'

const tooCommon = { status: 400, code: 'password_too_common', detail: 'The password is too easy to guess' }

t.test('common passwords are refused in any case (D07)', async (t) => {
  const { refuses } = await loadBlocklist([])
  for (const common of [
    'password',
    'password123',
    'iloveyou',
    'trustno1',
    'Football',
    'SUNSHINE',
    '1qaz2wsx',
  ]) {
    t.equal(refuses(common, null), true, common)
  }
  for (const fine of [
    password,
    'another password',
    'trustno1else',
    'x7$kQ2!m',
    `${'\u{1f600}\u{1f511}'.repeat(3)}ab`,
  ]) {
    t.equal(refuses(fine, null), false, fine)
  }
})

t.test('keyboard walks, sequences and repetitions are refused (D07)', async (t) => {
  const { refuses } = await loadBlocklist([])
  const patterns = [
    'qwertzuiop',
    '0987654321q',
    '1qaz2wsx3edc4rfv',
    'azertyuiop',
    'aaaaaaaaa',
    '\u00e9'.repeat(8),
  ]
  patterns.push(
    '74227422',
    'xy9xy9xy9xy',
    'abcdefghijk',
    'zyxwvuts',
    '\u03b1\u03b2\u03b3\u03b4\u03b5\u03b6\u03b7\u03b8',
  )
  for (const pattern of patterns) t.equal(refuses(pattern, null), true, pattern)
  for (const fine of ['qwertz-uiop', 'abcdefgh-x', 'xy9xy9xy9-', 'qwertyabcd'])
    t.equal(refuses(fine, null), false, fine)
})

t.test(
  "passwords of little more than the account's address or the service's name are refused (D07)",
  async (t) => {
    const { refuses } = await loadBlocklist(serviceNames('https://login.acme-shop.example/auth'))
    const email = 'john.smith+work@mail.example'
    const about = [
      'john.smith',
      'JohnSmith1',
      'johnsmith2024!',
      '!!john_smith!!',
      'john.smith+work',
      email,
      '99johnsmith99',
    ]
    about.push('Latchkey1', 'latchkey2026', 'acme-shop', 'AcmeShop99', 'login-acmeshop', 'latchkeyjohnsmith')
    for (const words of about) t.equal(refuses(words, email), true, words)
    for (const fine of [
      'latchkey opens my door',
      'john.smith likes cheese',
      'smithereens',
      'johannes-smits',
    ]) {
      t.equal(refuses(fine, email), false, fine)
    }
    t.equal(refuses('john.smith', 'mary@mail.example'), false, "another user's address is not considered")
    t.equal(refuses('annual-plan', 'ann@mail.example'), false)
  },
)

t.test("the service's names", async (t) => {
  t.same(serviceNames('https://auth.example.com'), ['latchkey', 'auth', 'example'])
  t.same(serviceNames('http://localhost:8000'), ['latchkey', 'localhost'])
  for (const url of ['http://127.0.0.1:8000', 'http://[::1]:8000']) t.same(serviceNames(url), ['latchkey'])
})

t.test('the blocklist applies at signup and change, not at login (D07)', async (t) => {
  const db = await migratedDatabase(t)
  t.teardown(() => db.destroy())
  const credentials = { email: 'old@example.com', password: 'password123' }
  const before = await testApp(t, { db: keptOpen(db) })
  const old = await before.inject({
    method: 'POST',
    url: '/api/auth/signup',
    payload: { ...credentials, name: 'Old' },
  })
  t.equal(old.statusCode, 201, 'off by default outside production: the tutorial has this one')

  const app = await testApp(t, { db: keptOpen(db), env: { PASSWORD_BLOCKLIST: 'on' } })
  const hashed = t.capture(app.passwords, 'hash', app.passwords.hash)
  const signup = (password: string) =>
    app.inject({
      method: 'POST',
      url: '/api/auth/signup',
      payload: { email: 'new.user@example.com', password, name: 'New' },
    })
  for (const common of ['password123', 'PassWord123', 'NewUser1', 'latchkey', 'qwertzuiop']) {
    const problem = problemOf(await signup(common))
    t.match(problem, { ...tooCommon, errors: [{ path: 'password', message: 'is easy to guess' }] }, common)
    t.notMatch(JSON.stringify(problem), common, 'the response does not contain the password')
  }
  t.same(hashed(), [], 'and none was hashed')
  t.equal((await signup(password)).statusCode, 201)

  const alice = await signUp(app, 'alice')
  const change = (new_password: string) =>
    alice.call('PUT', '/api/auth/password', { current_password: password, new_password })
  for (const common of ['password123', 'latchkey1', alice.email.split('@')[0] as string]) {
    t.match(problemOf(await change(common)), { ...tooCommon, errors: [{ path: 'new_password' }] }, common)
  }
  t.equal((await change('another password')).statusCode, 204)

  const login = await app.inject({ method: 'POST', url: '/api/auth/login', payload: credentials })
  t.equal(login.statusCode, 200, 'an existing common password still logs in')
})
