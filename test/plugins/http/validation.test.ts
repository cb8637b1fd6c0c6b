import t from 'tap'
import { password, problemOf, signUp, type TestUser, twoUsers } from '../../helper.ts'
import { jsonVectors } from '../../support/vectors.ts'
import { exchange, listeningApp } from '../../support/wire.ts'

const json = { 'content-type': 'application/json' }
const malformed = { status: 400, code: 'invalid_request', detail: 'The request is malformed' }
const invalid = { status: 400, code: 'validation_failed' }
const tooLarge = { status: 413, code: 'payload_too_large' }
const unsupported = { status: 415, code: 'unsupported_media_type' }

/** Posts raw bytes to two routes. */
async function postRaw(user: TestUser, body: Buffer | string, headers: Record<string, string> = json) {
  const request = { payload: Buffer.from(body), headers }
  return [
    await user.call('POST', '/api/auth/signup', undefined, request),
    await user.call('POST', user.tasks, undefined, request),
  ]
}

/** Valid by RFC 8259, refused by src/http/strict-json.ts. */
const stricter = new Set(['y_object_duplicated_key.json', 'y_object_duplicated_key_and_value.json'])

/** An empty body, which the schema refuses. */
const empty = 'n_structure_no_data.json'

/** Implementation-defined by RFC 8259 and accepted: numbers out of range, and depth. */
const lenient = /^i_(number_|structure_500_)/

t.test('JSON is parsed by RFC 8259, and stricter only where documented (G01)', async (t) => {
  const { alice } = await twoUsers(t)
  const seen = { accept: 0, reject: 0, 'implementation-defined': 0 }
  for (const { id, expect, body } of jsonVectors()) {
    seen[expect]++
    const parsed =
      id === empty || (expect === 'accept' && !stricter.has(id)) || (id.startsWith('i_') && lenient.test(id))
    for (const answer of await postRaw(alice, body)) {
      if (answer.statusCode === 201) t.equal(id, 'y_object_string_unicode.json', 'the only valid task')
      else t.match(problemOf(answer), body.length > 16_384 ? tooLarge : parsed ? invalid : malformed, id)
    }
  }
  t.same(seen, { accept: 95, reject: 188, 'implementation-defined': 35 })
})

t.test('names that could pollute a prototype are refused at any depth (G02)', async (t) => {
  const { alice } = await twoUsers(t)
  const bodies = [
    '{"title":"x","__proto__":{"polluted":1}}',
    '{"title":"x","\\u005f_proto__":{"polluted":1}}',
    '{"title":"x","constructor":{"prototype":{"polluted":1}}}',
    '{"title":"x","description":{"a":[{"__proto__":{"polluted":1}}]}}',
    '[{"constructor":1}]',
    '{"prototype":1}',
  ]
  for (const body of bodies) {
    for (const answer of await postRaw(alice, body)) t.match(problemOf(answer), malformed, body)
  }
  for (const query of ['__proto__=1', '__proto__[polluted]=1', 'constructor.prototype.polluted=1']) {
    t.match(problemOf(await alice.call('GET', `${alice.tasks}?${query}`)), invalid, query)
  }
  const text = await alice.call('POST', alice.tasks, { title: '__proto__', description: 'constructor' })
  t.match(text.json(), { title: '__proto__', description: 'constructor' }, 'accepted as values')
  t.notOk('polluted' in {})
})

t.test('deeply nested JSON is refused at no cost, and not echoed', async (t) => {
  const { alice } = await twoUsers(t)
  for (const open of ['[', '{"a":', '{"title":[']) {
    for (const answer of await postRaw(alice, open.repeat(100_000))) t.match(problemOf(answer), tooLarge)
    const fits = Math.floor(16_384 / open.length)
    for (const answer of await postRaw(alice, open.repeat(fits))) t.match(problemOf(answer), malformed)
  }
  const deep = `{"title":${'['.repeat(8_000)}${']'.repeat(8_000)}}`
  for (const answer of await postRaw(alice, deep)) {
    t.match(problemOf(answer), invalid)
    t.notMatch(answer.body, '[[')
    t.ok(answer.body.length < 2_000)
  }
})

t.test('a body has at most 16 KiB, uncompressed', async (t) => {
  const { alice } = await twoUsers(t)
  const task = JSON.stringify({ title: 'fits' })
  const exactly = task.padEnd(16_384)
  const [, fits] = await postRaw(alice, exactly)
  t.equal(fits?.statusCode, 201)
  for (const answer of await postRaw(alice, `${exactly} `)) t.match(problemOf(answer), tooLarge)
  for (const encoding of ['identity', 'Identity']) {
    const answers = await postRaw(alice, task, { ...json, 'content-encoding': encoding })
    t.equal(answers[1]?.statusCode, 201, encoding)
  }
  for (const encoding of ['gzip', 'br', 'identity, gzip', '']) {
    const headers = { ...json, 'content-encoding': encoding }
    for (const answer of await postRaw(alice, task, headers))
      t.match(problemOf(answer), unsupported, encoding)
  }
})

const otherMediaTypes = [
  '',
  'text/plain',
  'application/x-www-form-urlencoded',
  'multipart/form-data; boundary=x',
  '*/*',
  'application/*',
  'text/json',
  'application/jsonx',
  'application/json/x',
  'application/json-patch+json',
  'application/problem+json',
  'application/json garbage',
  'application/json\tgarbage',
  'application/json\t',
  ' application/json',
  'application/json\u00a0',
  'application/json;;',
  'application/json, text/plain',
  'application/json; charset=utf-16',
  'application/json; charset=utf8',
  "application/json; charset='utf-8'",
  'application/json; charset=utf-8; charset=utf-16',
  'application/json; charset=utf-8; charset=utf-8',
  'application/json; charset = utf-8',
  'application/json; charset=',
  'application/json; charset',
  'application/json; charset="utf-8',
  'application/json; x="',
  'application/json;charset=utf-16;',
  'application/json; x="a"; charset=latin1',
  'application/ld+json',
]

t.test('a body that is not application/json in UTF-8 is refused (G05)', async (t) => {
  const { alice } = await twoUsers(t)
  const invalidTask = '{"title":""}'
  for (const type of otherMediaTypes) {
    for (const answer of await postRaw(alice, invalidTask, { 'content-type': type })) {
      t.match(problemOf(answer), unsupported, JSON.stringify(type))
    }
  }
  for (const answer of await postRaw(alice, invalidTask, {}))
    t.match(problemOf(answer), unsupported, 'no type')

  const spellings = [
    'application/json;charset=utf-8',
    'application/json; charset="UTF-8"',
    'APPLICATION/JSON',
    'application/json ; charset=utf-8',
    'application/json;  charset=utf-8',
    'application/json;\tcharset=UTF-8',
    'application/json;',
    'application/json ; ',
    'application/json; charset=utf-8;',
    'application/json; version=1',
    'application/json; charset=utf-8; x=y',
    'application/json; x="a; charset=utf-16"; charset=utf-8',
    'application/json; x="\\""; CharSet="utf-8"',
  ]
  for (const type of spellings) {
    for (const answer of await postRaw(alice, invalidTask, { 'content-type': type })) {
      t.match(problemOf(answer), invalid, `${type} is validated`)
    }
    const [, made] = await postRaw(alice, '{"title":"x"}', { 'content-type': type })
    t.equal(made?.statusCode, 201, type)
  }
})

const typesWithoutBody = [...otherMediaTypes, 'application/json', 'text/plain;charset=UTF-8', 'nonsense']

t.test('without a body, content type and content coding are ignored', async (t) => {
  const { alice, bob } = await twoUsers(t)
  for (const type of typesWithoutBody) {
    for (const encoding of [{}, { 'content-encoding': 'gzip' }]) {
      for (const length of [{}, { 'content-length': '0' }]) {
        const headers = { 'content-type': type, ...encoding, ...length }
        const label = JSON.stringify(headers)
        for (const method of ['DELETE', 'PATCH', 'PUT']) {
          const answer = await bob.call(method, `${bob.tasks}/1`, undefined, { headers })
          const needsBody = { status: 400, code: 'validation_failed' }
          t.match(problemOf(answer), method === 'DELETE' ? { code: 'task_not_found' } : needsBody, label)
        }
        const login = await bob.call('POST', '/api/auth/login', undefined, { headers })
        t.match(problemOf(login), invalid, label)
      }
    }
  }
  const headers = { 'content-type': 'text/plain', 'content-length': '0' }
  t.equal((await alice.call('POST', '/api/auth/logout', undefined, { headers })).statusCode, 204)
  t.equal((await alice.call('GET', '/api/auth/me')).statusCode, 401, 'the session has ended')
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200, "another user's has not")
})

const chunked = 'Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n'
const endOfChunks = '0\r\n\r\n'

t.test('a chunked request has a body from its first byte on', async (t) => {
  const app = await listeningApp(t)
  const [alice, bob] = [await signUp(app, 'alice'), await signUp(app, 'bob')]
  const logout = ({ token }: TestUser, header: string, body: string) =>
    exchange(
      app,
      `POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n${header}${chunked}${body}`,
    )
  const headers = ['', 'Content-Type: text/plain\r\n', 'Content-Type: ;\r\nContent-Encoding: br\r\n']
  for (const header of headers) {
    t.equal((await logout(bob, header, `1\r\n{\r\n${endOfChunks}`)).status, 415, header)
  }
  t.equal((await bob.call('GET', '/api/auth/me')).statusCode, 200)
  for (const header of [...headers, 'Content-Type: application/json\r\n']) {
    const { token } = (await alice.call('POST', '/api/auth/login', { email: alice.email, password })).json()
    const answer = await logout({ ...alice, token }, header, endOfChunks)
    t.equal(answer.status, 204, header)
  }
})

t.test('a body of another type is refused without waiting for it', async (t) => {
  const app = await listeningApp(t)
  const { token } = await signUp(app, 'alice')
  const head = `POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n`
  const answer = await exchange(app, `${head}Content-Type: text/plain\r\nContent-Length: 20000\r\n\r\n`)
  t.equal(answer.status, 415)
})

t.test('a body is one object without duplicate names (G06)', async (t) => {
  const { alice } = await twoUsers(t)
  const malformedBodies = {
    'byte order mark': '\ufeff{"title":"x"}',
    NaN: '{"title":"x","completed":NaN}',
    Infinity: '{"title":Infinity}',
    'duplicate name': '{"title":"x","title":"y"}',
    'duplicate name by escape': '{"title":"x","t\\u0069tle":"y"}',
    'trailing comma': '{"title":"x",}',
    comment: '{"title":"x"/**/}',
    'two values': '{"title":"x"}{}',
    'single quotes': "{'title':'x'}",
    whitespace: ' ',
  }
  for (const [name, body] of Object.entries(malformedBodies)) {
    for (const answer of await postRaw(alice, body)) t.match(problemOf(answer), malformed, name)
  }
  for (const body of ['', 'null', '[]', '[{"title":"x"}]', '"title"', '0', 'true', '{}']) {
    for (const answer of await postRaw(alice, body)) t.match(problemOf(answer), invalid, `body: ${body}`)
  }
})

t.test('a validation problem contains the field and never the value', async (t) => {
  const { alice } = await twoUsers(t)
  const answer = await alice.call('POST', alice.tasks, { title: 'x', completed: 'canary', 'canary <b>': 1 })
  t.match(problemOf(answer), invalid)
  t.notMatch(answer.body, 'canary')
  t.same(
    answer
      .json()
      .errors.map(({ path }: { path: string }) => path)
      .sort(),
    ['body', 'completed'],
  )
})
