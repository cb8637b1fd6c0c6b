import type { FastifyInstance, LightMyRequestResponse } from 'fastify'
import t from 'tap'
import { password, problemOf, signUp, testApp, twoUsers } from '../../helper.ts'

const invalid = { status: 400, code: 'validation_failed' }
const taken = { status: 400, code: 'email_already_registered', detail: 'Email already registered' }
const wrong = { status: 401, code: 'invalid_credentials', detail: 'Incorrect email or password' }

const post = (app: FastifyInstance, path: string, payload: object) =>
  app.inject({ method: 'POST', url: `/api/auth/${path}`, payload })

/** A response without its ids and date. */
function comparable({ statusCode, headers, body }: LightMyRequestResponse) {
  const { 'x-request-id': id, date: _, ...others } = headers
  return { statusCode, headers: others, body: body.replaceAll(String(id), 'id') }
}

t.test('login errors are the same with and without an account (C01)', async (t) => {
  const { app, alice, bob } = await twoUsers(t)
  const carol = await signUp(app, 'carol')
  await app.db.updateTable('users').set({ password_hash: 'corrupt' }).where('id', '=', bob.id).execute()
  await app.db.updateTable('users').set({ password_hash: null }).where('id', '=', carol.id).execute()
  const [unknown, ...others] = [
    await post(app, 'login', { email: 'nobody@example.com', password }),
    await post(app, 'login', { email: alice.email, password: 'another password' }),
    await post(app, 'login', { email: bob.email, password }),
    await post(app, 'login', { email: carol.email, password }),
  ].map(comparable)
  t.match(JSON.parse(unknown?.body ?? ''), wrong)
  for (const other of others) t.same(other, unknown)
  t.equal((await post(app, 'login', { email: alice.email, password })).statusCode, 200, 'and can succeed')
})

t.test('a malformed hash is a failed login, and is logged without the hash', async (t) => {
  const lines: string[] = []
  const { app, alice } = await twoUsers(t, { env: { LOG_LEVEL: 'error' }, log: (line) => lines.push(line) })
  const hashes = [
    '',
    'corrupt',
    '$2b$12$short',
    `$2x$04$${'a'.repeat(53)}`,
    `${'0'.repeat(32)}:${'f'.repeat(126)}`,
    '$argon2id$v=19$m=19456,t=2,p=1$',
    '$argon2id$v=19$m=1,t=0,p=0$YQ$YQ',
  ]
  for (const hash of hashes) {
    lines.length = 0
    await app.db.updateTable('users').set({ password_hash: hash }).where('id', '=', alice.id).execute()
    t.match(problemOf(await post(app, 'login', { email: alice.email, password })), wrong, hash)
    t.equal(lines.length, 1, hash)
    t.match(JSON.parse(lines[0] ?? ''), { event: 'malformed_password_hash' })
    t.notMatch(lines[0], /corrupt|\$/)
  }
})

t.test('other errors of a request are answered before the account lookup', async (t) => {
  const { app, alice } = await twoUsers(t)
  const faults = [{ password: 'short' }, { password: 1 }, { name: '' }, { redirect: '//evil.test' }]
  for (const fault of faults) {
    const [known, unknown] = [alice.email, 'nobody@example.com'].map((email) => ({
      email,
      password,
      name: 'x',
      ...fault,
    }))
    const answers = [await post(app, 'signup', known ?? {}), await post(app, 'signup', unknown ?? {})]
    const [first, second] = answers.map(comparable)
    t.match(JSON.parse(first?.body ?? ''), invalid, JSON.stringify(fault))
    t.same(first, second)
  }
  const logins = [alice.email, 'nobody@example.com'].map((email) =>
    post(app, 'login', { email, password: '' }),
  )
  const [first, second] = (await Promise.all(logins)).map(comparable)
  t.match(JSON.parse(first?.body ?? ''), invalid)
  t.same(first, second)
})

t.test('fields that only the service sets are refused (F05)', async (t) => {
  const { app, alice } = await twoUsers(t)
  const extras = {
    id: alice.id,
    user_id: alice.id,
    role: 'admin',
    is_admin: true,
    email_verified: true,
    password_hash: 'x',
    created_at: '2020-01-01T00:00:00.000Z',
    token_version: 1,
  }
  for (const [field, value] of Object.entries(extras)) {
    const signup = { email: 'extra@example.com', password, name: 'x', [field]: value }
    for (const answer of [
      await post(app, 'signup', signup),
      await post(app, 'login', { email: alice.email, password, [field]: value }),
      await alice.call('PATCH', '/api/auth/me', { name: 'x', [field]: value }),
      await alice.call('POST', '/api/auth/me/delete', { password, [field]: value }),
    ]) {
      t.match(problemOf(answer), { ...invalid, errors: [{ path: field }] }, field)
    }
  }
  t.match((await alice.call('GET', '/api/auth/me')).json(), {
    id: alice.id,
    name: 'alice',
    email_verified: false,
  })
})

t.test('of 50 concurrent signups with one address, one creates the account (I06)', async (t) => {
  const app = await testApp(t)
  const signup = (at: number) => {
    const email = at % 2 ? 'race@example.com' : 'Race@Example.com'
    return post(app, 'signup', { email, password, name: `racer ${at}` })
  }
  const answers = await Promise.all(Array.from({ length: 50 }, (_, at) => signup(at)))
  const [made, ...more] = answers.filter(({ statusCode }) => statusCode === 201)
  t.ok(made)
  t.same(more, [])
  for (const answer of answers) if (answer !== made) t.match(problemOf(answer), taken)
  const users = await app.db.selectFrom('users').select('name').execute()
  t.same(users, [{ name: made?.json().user.name }])
  t.equal(
    (await app.db.selectFrom('sessions').select('id').execute()).length,
    1,
    'only the signup that succeeded opens a session',
  )
})

t.test('HEAD has the guard and the limit of GET', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const alice = await signUp(app, 'alice')
  const task = await alice.call('POST', alice.tasks, { title: 'x' })
  const { paths } = app.swagger() as { paths: Record<string, Record<string, unknown>> }
  // The export has no HEAD, which would read everything and send nothing of it.
  const urls = Object.keys(paths).filter((path) => paths[path]?.['get'] && !path.endsWith('/export'))
  t.ok(urls.length >= 7)
  // At the routes of gateways and services only refusals count, which no header announces.
  const isUnlimited = (url: string) => /^\/(health|gateway|api\/events)\b/.test(url)
  for (const pattern of urls) {
    const url = pattern.replace('{user_id}', alice.id).replace('{task_id}', task.json().id)
    for (const headers of [{}, { authorization: `Bearer ${alice.token}` }]) {
      const get = await app.inject({ method: 'GET', url, headers })
      const head = await app.inject({ method: 'HEAD', url, headers })
      t.equal(head.statusCode, get.statusCode, url)
      t.equal(head.body, '', url)
      t.equal(head.headers['www-authenticate'], get.headers['www-authenticate'], url)
      t.equal(head.headers['ratelimit-limit'], get.headers['ratelimit-limit'], url)
      t.equal(get.headers['ratelimit-limit'] === undefined, isUnlimited(url), url)
      const left = ({ headers }: typeof get) =>
        Number(headers['ratelimit-remaining'] ?? Number.POSITIVE_INFINITY)
      t.equal(left(head), left(get) - 1, url)
    }
  }
})

t.test('path variants reach the same route with the same limit, or 404 (G11)', async (t) => {
  const app = await testApp(t, { env: { RATE_LIMITS: 'on' } })
  const login = (url: string) =>
    app.inject({ method: 'POST', url, payload: { email: 'nobody@example.com', password } })
  let remaining = Number((await login('/api/auth/login')).headers['ratelimit-remaining'])
  for (const url of ['/api/auth/%6cogin', '/api/auth/login?', '/api/auth/login?x=1', '/%61pi/auth/login']) {
    const answer = await login(url)
    t.match(problemOf(answer), wrong, url)
    t.equal(Number(answer.headers['ratelimit-remaining']), --remaining, url)
  }
  const others = [
    '//api/auth/login',
    '/api//auth/login',
    '/api/auth/login/',
    '/API/AUTH/LOGIN',
    '/api/auth/Login',
  ]
  others.push(
    '/api/auth/login;x',
    '/api/auth/login%00',
    '/api/auth%2flogin',
    '/api/auth/login%2f',
    '/api/auth/login%20',
  )
  others.push('/api/auth/login%3fx=1', '/api/auth/login%23')
  for (const url of others) t.match(problemOf(await login(url)), { status: 404, code: 'not_found' }, url)
})
