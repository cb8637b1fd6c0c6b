import t from 'tap'
import { problemOf, type TestUser, twoUsers } from '../helper.ts'
import { jsonVectors } from '../vectors.ts'

const json = { 'content-type': 'application/json' }
const malformed = { status: 400, code: 'invalid_request', detail: 'The request is malformed' }
const invalid = { status: 400, code: 'validation_failed' }
const tooLarge = { status: 413, code: 'payload_too_large' }
const unsupported = { status: 415, code: 'unsupported_media_type' }

/** Posts bytes as they are to the two routes that take the most. */
async function postRaw(user: TestUser, body: Buffer | string, headers: Record<string, string> = json) {
  const request = { payload: Buffer.from(body), headers }
  return [
    await user.call('POST', '/api/auth/signup', undefined, request),
    await user.call('POST', user.tasks, undefined, request),
  ]
}

/** What RFC 8259 allows and this service refuses on purpose (src/strict-json.ts). */
const stricter = new Set(['y_object_duplicated_key.json', 'y_object_duplicated_key_and_value.json'])

/** Not JSON, but no body at all, which is for the schema to refuse. */
const empty = 'n_structure_no_data.json'

/** Where RFC 8259 leaves it open, only numbers out of range and depth are taken. */
const lenient = /^i_(number_|structure_500_)/

t.test('G01: JSON is parsed as RFC 8259 says, and stricter only where documented', async (t) => {
  const { alice } = await twoUsers(t)
  const seen = { accept: 0, reject: 0, 'implementation-defined': 0 }
  for (const { id, expect, body } of jsonVectors()) {
    seen[expect]++
    const parsed =
      id === empty || (expect === 'accept' && !stricter.has(id)) || (id.startsWith('i_') && lenient.test(id))
    for (const answer of await postRaw(alice, body)) {
      if (answer.statusCode === 201)
        t.equal(id, 'y_object_string_unicode.json', 'the only one that is a task')
      else t.match(problemOf(answer), body.length > 16_384 ? tooLarge : parsed ? invalid : malformed, id)
    }
  }
  t.same(seen, { accept: 95, reject: 188, 'implementation-defined': 35 })
})

t.test('G02: names that reach a prototype are refused at any depth', async (t) => {
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
  t.match(text.json(), { title: '__proto__', description: 'constructor' }, 'as text they are text')
  t.notOk('polluted' in {})
})

t.test('G03: depth costs nothing and is not echoed', async (t) => {
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

t.test('G04: 16 KiB is the limit of a body, and none is compressed', async (t) => {
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
  'application/json;',
  'application/json;;',
  'application/json, text/plain',
  'application/json; charset=utf-16',
  'application/json; charset=utf8',
  "application/json; charset='utf-8'",
  'application/json; charset=utf-8; charset=utf-16',
  'application/json; charset=utf-8; x=y',
]

t.test('G05: a body is application/json in UTF-8, or it is not read', async (t) => {
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
  ]
  for (const type of spellings) {
    for (const answer of await postRaw(alice, invalidTask, { 'content-type': type })) {
      t.match(problemOf(answer), invalid, `${type} is validated`)
    }
    const [, made] = await postRaw(alice, '{"title":"x"}', { 'content-type': type })
    t.equal(made?.statusCode, 201, type)
  }
})

t.test('G06: a body is one object with each name once', async (t) => {
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

t.test('a validation problem names the field and never the value', async (t) => {
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
