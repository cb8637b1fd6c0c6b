import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { type ImportCounts, importUsers, type Refusal } from '../../../src/import/import.ts'
import { problemOf, signUp, testApp } from '../../helper.ts'

const typed = 'password123'
const bcrypt = '$2b$04$2JeeODNxcoy2ocGBpPcEDOi0ugaHJZTWaMHdb2yBGoEVZ6JVuEPri'
const scrypt =
  '9377f3ccb787a137f1ccf923a156ab2c:f3cb2aaf031d58e6c301d52bd2b62a27243c2000c26d1d79ce57bd29bab2df096f846c3b48be6f7f03eadbcbc1c2ff97cb28f07a559e3d5dd07e0729cf7dd248'

/** Imports lines: texts, or values to encode as JSON. */
async function load(
  { db }: FastifyInstance,
  ...lines: unknown[]
): Promise<[counts: ImportCounts, refused: Refusal[]]> {
  const text = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n')
  const refused: Refusal[] = []
  const source = (async function* () {
    yield Buffer.from(text)
  })()
  const counts = await importUsers(db, source, (_, more) => refused.push(...more))
  return [counts, refused]
}

const rows = ({ db }: FastifyInstance) => db.selectFrom('users').selectAll().orderBy('email').execute()

const logIn = (app: FastifyInstance, email: string, password: string) =>
  app.inject({ method: 'POST', url: '/api/auth/login', payload: { email, password } })

t.test('imported users log in, and reach their own tasks under their imported ids', async (t) => {
  const app = await testApp(t)
  const betterAuthId = 'jmNXs3Ly0rJoFj3ZcKa3QlpzYf5BDi8Y'
  const [counts, refused] = await load(
    app,
    { id: betterAuthId, email: 'Alice@Example.com', name: 'Alice', password_hash: scrypt },
    { id: 42, email: 'bob@example.com', name: 'Bob', password_hash: bcrypt },
  )
  t.same(refused, [])
  t.same(counts, { lines: 2, imported: 2, alreadyThere: 0, refused: 0 })

  const sessions = [await logIn(app, 'alice@example.com', typed), await logIn(app, 'BOB@example.com', typed)]
  const [alice, bob] = sessions.map((answer) => answer.json())
  t.match(alice.user, { id: betterAuthId, email: 'alice@example.com', name: 'Alice', email_verified: false })
  t.equal(bob.user.id, '42')
  for (const { token, user } of [alice, bob]) {
    t.equal(JSON.parse(Buffer.from(token.split('.')[1], 'base64url').toString()).sub, user.id)
    const headers = { authorization: `Bearer ${token}` }
    const url = `/api/${user.id}/tasks`
    const made = await app.inject({ method: 'POST', url, headers, payload: { title: `for ${user.id}` } })
    t.match([made.statusCode, made.json()], [201, { user_id: user.id }])
    t.match((await app.inject({ url, headers })).json(), [{ title: `for ${user.id}` }])
    const other = user === alice.user ? bob.user.id : betterAuthId
    const refusal = await app.inject({ url: `/api/${other}/tasks`, headers })
    t.match(problemOf(refusal), { status: 403, code: 'not_owner' })
    const me = await app.inject({ url: '/api/auth/me', headers })
    t.equal(me.json().id, user.id)
  }
})

t.test('optional fields of a line and their defaults', async (t) => {
  const app = await testApp(t)
  const nothing = { id: null, name: null, password_hash: null, created_at: null, email_verified: null }
  const name = '\u{1f600}'.repeat(100)
  const [counts, refused] = await load(
    app,
    { email: 'a+tag@example.com' },
    { email: 'b@example.com', ...nothing },
    '',
    ' \t\r',
    { email: 'c@example.com', name: '', email_verified: true, created_at: '2024-02-29T23:30:00.1239-01:30' },
    { email: `${'d'.repeat(120)}@example.com` },
    { email: 'e@example.com', name },
    `  ${JSON.stringify({ email: 'f@example.com', name: 'a\u2028b' })} \r`,
  )
  t.same(refused, [])
  t.match(counts, { lines: 8, imported: 6 })
  const [a, b, c, d, e, f] = await rows(app)
  t.match(a, { id: /^user_/, name: 'a+tag', password_hash: null, email_verified: false, issuer: null })
  t.match(b, { id: /^user_/, name: 'b', password_hash: null, email_verified: false })
  t.match(c, { name: 'c', email_verified: true, created_at: '2024-03-01T01:00:00.123Z' })
  t.equal(d?.name, 'd'.repeat(100))
  t.equal(e?.name, name)
  t.equal(f?.name, 'a\u2028b')
  t.ok(Date.parse(a?.created_at ?? '') > Date.now() - 60_000)
  const login = await logIn(app, 'b@example.com', typed)
  t.match(problemOf(login), { status: 401, code: 'invalid_credentials' }, 'no password is accepted')
})

t.test('a line that is not an account is refused with the field and the reason (I03)', async (t) => {
  const app = await testApp(t)
  const email = 'x@example.com'
  const id = 'id is not one that an account can have'
  const address = 'email is not an address that an account can have'
  const name = 'name is not a text of 1 to 100 characters'
  const hash = 'password_hash is of no form that can be verified'
  const time = 'created_at is not an RFC 3339 time of 1970 or later'
  const verified = 'email_verified is not true or false'
  const cases: [unknown, string][] = [
    ['{', 'not JSON in UTF-8'],
    ['\ufeff{"email":"x@example.com"}', 'not JSON in UTF-8'],
    ['{"email":"x@example.com"}{}', 'not JSON in UTF-8'],
    ['{"email":"x@example.com","email":"y@example.com"}', 'duplicate member name'],
    ['{"email":"x@example.com","__proto__":{}}', 'forbidden member name'],
    ['{"email":"x@example.com","name":"\\ud800"}', 'lone surrogate'],
    [`{"email":"x@example.com","name":"${'x'.repeat(16 * 1024)}"}`, 'longer than 16384 bytes'],
    ...['null', '"x@example.com"', '[]', '1'].map((line): [string, string] => [line, 'not a JSON object']),
    [{}, 'email is missing'],
    [{ email, role: 'admin' }, 'role is not one of an account'],
    [{ email, 'secret word': 1 }, 'a field is not one of an account'],
    [{ email, issuer: 'https://example.com' }, 'issuer is not one of an account'],
    ...['', 'x', 'x@example', `${'x'.repeat(250)}@example.com`, 'x y@example.com', null, 1].map(
      (email): [object, string] => [{ email }, address],
    ),
    ...['', '-a', 'a b', 'a/b', '\u00e4', 'x'.repeat(129), -1, 1.5, 2 ** 53, true, []].map(
      (id_): [object, string] => [{ id: id_, email }, id],
    ),
    [{ id: '6F9619FF-8B86-D011-B42D-00C04FC964FF', email }, id],
    [{ id: 'session_01m826t02kf0cb6tqm1v4n0x2r', email }, id],
    [{ id: 'USER_01m826szz6e8qamp5zkxm1dvv5', email }, id],
    ['{"id":1e400,"email":"x@example.com"}', id],
    ...['x'.repeat(101), 'a\0b', '\ufeffa', 1, {}].map((text): [object, string] => [
      { email, name: text },
      name,
    ]),
    ...['', 'password123', bcrypt.replace('$04$', '$15$'), bcrypt.replace('2b', '2x'), 1].map(
      (text): [object, string] => [{ email, password_hash: text }, hash],
    ),
    ...[
      '',
      '2024-01-31',
      '2024-01-31 12:00:00Z',
      '2024-01-31T12:00:00',
      '2024-02-30T12:00:00Z',
      '2023-02-29T12:00:00Z',
      '2024-00-10T12:00:00Z',
      '2024-13-10T12:00:00Z',
      '2024-01-00T12:00:00Z',
      '2024-01-31T12:00:60Z',
      '2024-01-31T12:00:00+25:00',
      '0000-01-01T00:00:00Z',
      '1969-12-31T23:59:59.999Z',
      '9999-12-31T23:59:59-01:00',
      '+012024-01-01T00:00:00Z',
      1706702400,
    ].map((text): [object, string] => [{ email, created_at: text }, time]),
    [{ email, email_verified: 'true' }, verified],
    [{ email, email_verified: 1 }, verified],
  ]
  const [counts, refused] = await load(app, ...cases.map(([line]) => line))
  t.match(counts, { lines: cases.length, imported: 0, refused: cases.length })
  for (const [at, [line, reason]] of cases.entries()) {
    t.same(refused[at], { line: at + 1, reason }, JSON.stringify(line).slice(0, 100))
  }
  t.same(await rows(app), [])
})

t.test('a second run skips existing accounts, and takes over none by id or address', async (t) => {
  const app = await testApp(t)
  const bob = await signUp(app, 'bob')
  const lines = [
    { id: 'one', email: 'one@example.com', password_hash: bcrypt },
    { email: 'two@example.com', password_hash: bcrypt },
    { id: 'three', email: 'three@example.com' },
  ]
  t.match((await load(app, ...lines.slice(0, 2)))[0], { imported: 2 })
  await logIn(app, 'one@example.com', typed)
  const before = await rows(app)
  const again = await load(app, ...lines)
  t.same(again, [{ lines: 3, imported: 1, alreadyThere: 2, refused: 0 }, []])
  const after = await rows(app)
  t.same(
    after.filter(({ id }) => id !== 'three'),
    before,
    'an existing account is unchanged, including its upgraded hash',
  )

  const [, refused] = await load(
    app,
    { id: 'one', email: 'other@example.com' },
    { id: 'other', email: 'ONE@example.com' },
    { id: bob.id, email: 'one@example.com', password_hash: bcrypt },
    { id: 'other', email: bob.email, password_hash: bcrypt },
  )
  t.same(
    refused.map(({ reason }) => reason),
    [
      'id belongs to another account',
      'email belongs to another account',
      'id belongs to another account',
      'email belongs to another account',
    ],
  )
  t.same(await rows(app), after)
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
})

t.test('duplicates within one file are treated as in a second run', async (t) => {
  const app = await testApp(t)
  const [counts, refused] = await load(
    app,
    { id: 'one', email: 'one@example.com', name: 'first' },
    { id: 'one', email: 'One@example.com', name: 'second' },
    { id: 'one', email: 'other@example.com' },
    { id: 'two', email: 'one@example.com' },
    { id: 'two', email: 'two@example.com' },
    { email: 'three@example.com', name: 'first' },
    { email: 'three@example.com', name: 'second' },
    { id: 'three', email: 'three@example.com' },
  )
  t.same(counts, { lines: 8, imported: 3, alreadyThere: 2, refused: 3 })
  t.same(
    refused.map(({ line }) => line),
    [3, 4, 8],
  )
  t.same(
    (await rows(app)).map(({ name }) => name),
    ['first', 'first', 'two'],
  )
})

t.test("a trusted issuer's user with the same address is another account", async (t) => {
  const app = await testApp(t)
  const foreign = { id: 'user_01m826szz6e8qamp5zkxm1dvv5', email: 'x@example.com', name: 'x' }
  await app.db
    .insertInto('users')
    .values({ ...foreign, issuer: 'https://example.com', subject: 'x' })
    .execute()
  const [counts, refused] = await load(
    app,
    foreign,
    { id: 'x', email: foreign.email },
    { email: foreign.email },
  )
  t.same(refused, [{ line: 1, reason: 'id belongs to another account' }])
  t.match(counts, { imported: 1, alreadyThere: 1 })
})

t.test('batches are stored in order, and reported in the order of the lines', async (t) => {
  const app = await testApp(t)
  const lines = Array.from({ length: 1_203 }, (_, at) => ({
    id: `u${at}`,
    email: at % 400 === 0 ? 'no address' : `u${at}@example.com`,
  }))
  const reported: number[] = []
  const source = (async function* () {
    for (const line of lines) yield Buffer.from(`${JSON.stringify(line)}\n`)
  })()
  await importUsers(app.db, source, ({ lines, imported, refused }, more) => {
    t.equal(imported + refused, lines)
    reported.push(lines, ...more.map(({ line }) => -line))
  })
  t.same(reported, [500, -1, -401, 1000, -801, 1203, -1201])
  t.equal((await rows(app)).length, 1_199)
})

t.test("a database error ends the import with the line number, without the database's message", async (t) => {
  const app = await testApp(t)
  const db = app.db.withSchema('nowhere')
  const source = (async function* () {
    yield Buffer.from(JSON.stringify({ email: 'x@example.com', password_hash: bcrypt }))
  })()
  await t.rejects(
    importUsers(db, source, () => {}),
    {
      name: 'ImportStopped',
      message: 'the database did not take what follows line 0 (42P01): run the import again to go on',
    },
  )
})
