import { readFileSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import t from 'tap'
import { run, version } from '../../../prove/src/command.ts'
import { redactor } from '../../../prove/src/tokens.ts'
import { fastApiDocument, fastApiItems, fastApiToken } from '../../support/fastapi-items.ts'
import { freePort } from '../../support/free-port.ts'
import { holesOf, proved, served } from '../../support/prove.ts'

const tokens = [fastApiToken(1), fastApiToken(2)] as const

/** A document with one path, and what it serves on it. */
function oneOperation(method: string, path: string, more: object = {}) {
  const parameters = [...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  return {
    openapi: '3.1.0',
    info: { title: 'One', version: '1' },
    paths: { [path]: { [method]: { parameters, ...more } } },
  }
}

/** Who asks, by the order of the tokens. */
const isA = (authorization: string | undefined) => authorization === `Bearer ${tokens[0]}`
const isB = (authorization: string | undefined) => authorization === `Bearer ${tokens[1]}`

/** A read of `/users/{user_id}` that answers its owner 200, and everybody else as it is given. */
function profile(refusal: (response: Parameters<RequestListener>[1]) => void): RequestListener {
  return ({ url, headers: { authorization } }, response) => {
    const user = isA(authorization) ? '1' : isB(authorization) ? '2' : undefined
    if (user !== undefined && url === `/users/${user}`) response.end('{}')
    else refusal(response)
  }
}

t.test('arguments that cannot be are exit 2, in one line without a token', async (t) => {
  const env = { LATCHKEY_PROVE_USER_A: tokens[0], LATCHKEY_PROVE_USER_B: tokens[1] }
  const url = '--base-url=http://127.0.0.1:1'
  const cases: [string[], RegExp, Record<string, string>?][] = [
    [[], /the OpenAPI document is missing/],
    [['openapi.yaml'], /--base-url is missing/],
    [['openapi.yaml', '--base-url=ftp://x'], /--base-url is not http or https/],
    [['openapi.yaml', '--base-url=http://a:secret@x/'], /must not contain a password/],
    [['openapi.yaml', url, '--frobnicate'], /unknown option --frobnicate/],
    [['openapi.yaml', url, '--user', tokens[0]], /two tokens are needed/],
    [['openapi.yaml', url], /two tokens are needed/, { LATCHKEY_PROVE_USER_A: tokens[0] }],
    [['openapi.yaml', url, '--user', tokens[0], '--user', 'a b c'], /the token of user B is invalid/],
    [['openapi.yaml', url, tokens[0]], /more than one document/],
    [['openapi.yaml', url, '--user-file=/no/such/file', '--user-file=x'], /cannot read .*: ENOENT/],
    [['openapi.yaml', url, '--owner=1'], /--owner is needed twice/],
    [['openapi.yaml', url, '--timeout=soon'], /--timeout must be a number of seconds/],
    [['no-such-file.yaml', url], /cannot read no-such-file.yaml: ENOENT/],
    [['package.json', url], /is no OpenAPI document of version 3/],
    [['openapi.yaml', url, '--user', tokens[0], '--user', tokens[0]], /both tokens are the same/],
    [
      ['openapi.yaml', url, '--user', 'opaque-1', '--user', 'opaque-2'],
      /give the ids of both users with --owner/,
    ],
    [
      ['openapi.yaml', url, '--owner-param', 'tenant'],
      /no path has the owner \{tenant\}; paths have .*\{user_id\}/,
    ],
    [
      ['openapi.yaml', `--base-url=http://127.0.0.1:${await freePort()}`],
      /cannot reach http:\/\/127.0.0.1:\d+: ECONNREFUSED/,
    ],
  ]
  for (const [args, message, environment = env] of cases) {
    let [out, err] = ['', '']
    const code = await run(args, {
      env: environment,
      out: (text) => {
        out += text
      },
      err: (text) => {
        err += text
      },
    })
    t.equal(code, 2, args.slice(0, 3).join(' '))
    t.match(`${err}${out}`, message)
    t.notOk(
      tokens.some((token) => `${err}${out}`.includes(token)),
      'no token',
    )
    t.notMatch(err, /secret/)
  }
})

t.test('--help and --version', async (t) => {
  const outputs: string[] = []
  const terminal = { env: {}, out: (text: string) => outputs.push(text), err: () => {} }
  t.same([await run(['--help'], terminal), await run(['--version'], terminal)], [0, 0])
  t.match(outputs[0], /^Usage: latchkey-prove/)
  t.equal(outputs[1], `${JSON.parse(readFileSync('prove/package.json', 'utf8')).version}\n`)
  t.equal(outputs[1], `${version}\n`)
})

t.test('tokens from files, with the name of their scheme', async (t) => {
  const folder = t.testdir({ a: `Bearer ${tokens[0]}\n`, b: tokens[1] })
  const { listener } = fastApiItems('none')
  const document = join(folder, 'openapi.json')
  writeFileSync(document, JSON.stringify(fastApiDocument))
  let out = ''
  const code = await run(
    [
      document,
      '--base-url',
      await served(t, listener),
      '--user-file',
      join(folder, 'a'),
      '--user-file',
      join(folder, 'b'),
      '--json',
      '-',
    ],
    { env: {}, out: (text) => (out += text), err: () => {} },
  )
  t.equal(code, 0)
  t.equal(JSON.parse(out).verdict, 'sound')
})

t.test('tokens that nobody accepts prove nothing', async (t) => {
  const { listener } = fastApiItems('none')
  const wrong = `${tokens[1].slice(0, -6)}AAAAAA`
  for (const [pair, label] of [
    [[tokens[0], wrong], 'B'],
    [[wrong.replace(/^/, ''), tokens[0]], 'A'],
  ] as const) {
    const run = await proved(t, { document: fastApiDocument, url: await served(t, listener), tokens: pair })
    t.equal(run.code, 2)
    t.equal(run.json.verdict, 'nothing_proven')
    t.match(run.json.summary, new RegExp(`the token of user ${label} was answered 401 everywhere`))
    t.match(run.junit, /failures="0" errors="0" skipped="5"/)
  }
})

t.test(
  'only 401, 403 and 404 refuse: another success or an error is a hole, a 400 proves nothing',
  async (t) => {
    const document = oneOperation('get', '/users/{user_id}')
    for (const [status, code, verdict] of [
      [403, 0, 'sound'],
      [404, 0, 'sound'],
      [204, 1, 'hole'],
      [409, 1, 'hole'],
      [500, 1, 'hole'],
      [302, 2, 'not_proven'],
      [400, 2, 'not_proven'],
      [422, 2, 'not_proven'],
      [502, 2, 'not_proven'],
    ] as const) {
      const url = await served(
        t,
        profile((response) => response.writeHead(status).end()),
      )
      const run = await proved(t, { document, url, tokens })
      t.equal(run.code, code, `${status}`)
      t.equal(run.json.operations[0]?.verdict, verdict, `${status}`)
      t.match(
        run.out,
        new RegExp(code === 0 ? '1 of 1 operations serve only the owner' : `was answered ${status}`),
      )
    }
  },
)

t.test('a 429 is waited for, within a bound', async (t) => {
  let asked = 0
  const limited = (seconds: number) =>
    served(t, (request, response) => {
      if (asked++ % 5 === 0) response.writeHead(429, { 'retry-after': String(seconds) }).end()
      else profile((refused) => refused.writeHead(403).end())(request, response)
    })
  const document = oneOperation('get', '/users/{user_id}')
  const waited = await proved(t, { document, url: await limited(0), tokens })
  t.equal(waited.code, 0, waited.out)
  t.match(waited.err, /answered 429: waiting 1 s/)
  asked = 0
  const tooLong = await proved(t, { document, url: await limited(3_000), tokens, args: ['--max-wait=1'] })
  t.equal(tooLong.code, 2, tooLong.out)
  t.match(tooLong.out, /was answered 429/)
})

t.test('what one may not read counts too: --strict, and --skip', async (t) => {
  const paths = {
    ...oneOperation('get', '/users/{user_id}').paths,
    ...oneOperation('get', '/admin/users/{user_id}').paths,
  }
  const document = { ...oneOperation('get', '/users/{user_id}'), paths }
  const url = await served(
    t,
    profile((response) => response.writeHead(403).end()),
  )
  const plain = await proved(t, { document, url, tokens })
  t.equal(plain.code, 0)
  t.match(plain.json.summary, /1 of 2 operations serve only the owner; 1 not proven/)
  t.match(
    plain.out,
    /not proven: GET \/admin\/users\/\{user_id\}\n {2}- both users' own requests were answered 403/,
  )
  t.equal((await proved(t, { document, url, tokens, args: ['--strict'] })).code, 2)
  const skipped = await proved(t, { document, url, tokens, args: ['--strict', '--skip', 'GET /admin/*'] })
  t.equal(skipped.code, 0)
  t.equal(skipped.json.counts['skipped'], 1)
})

t.test('what a run has not made gets its values back, and is not deleted', async (t) => {
  const schema = { type: 'object', properties: { name: { type: 'string' }, age: { type: 'integer' } } }
  const body = { requestBody: { content: { 'application/json': { schema } } } }
  const path = '/users/{user_id}/profile'
  const document = oneOperation('get', path)
  const operations = { get: {}, put: body, delete: {} }
  const paths = {
    [path]: {
      parameters: [{ name: 'user_id', in: 'path', required: true, schema: { type: 'string' } }],
      ...operations,
    },
  }
  const profiles: Record<string, object> = { 1: { name: 'Alice', age: 30 }, 2: { name: 'Bob', age: 40 } }
  const url = await served(t, (request, response) => {
    const user = isA(request.headers.authorization) ? '1' : isB(request.headers.authorization) ? '2' : ''
    let text = ''
    request.on('data', (part) => (text += part))
    request.on('end', () => {
      if (request.url?.split('?')[0] !== `/users/${user}/profile`) return void response.writeHead(403).end()
      if (request.method === 'PUT') profiles[user] = JSON.parse(text)
      if (request.method === 'DELETE') delete profiles[user]
      // A time by itself is no change.
      response.end(JSON.stringify({ ...profiles[user], now: process.hrtime.bigint().toString() }))
    })
  })
  const run = await proved(t, { document: { ...document, paths }, url, tokens })
  t.same(holesOf(run), [], run.out)
  t.equal(run.code, 0)
  t.same(
    run.json.operations.map(({ verdict }) => verdict),
    ['sound', 'sound', 'not_proven'],
  )
  t.match(run.out, /it would delete what the run has not created/)
  t.same(profiles, { 1: { name: 'Alice', age: 30 }, 2: { name: 'Bob', age: 40 } })
})

t.test("a PUT that makes what is not there is no hole on one's own path", async (t) => {
  const path = '/users/{user_id}/notes/{slug}'
  const parameters = ['user_id', 'slug'].map((name) => ({
    name,
    in: 'path',
    required: true,
    schema: { type: 'string' },
  }))
  const text = { type: 'object', required: ['text'], properties: { text: { type: 'string' } } }
  const paths = {
    [path]: {
      parameters,
      get: {},
      put: { requestBody: { content: { 'application/json': { schema: text } } } },
      delete: {},
    },
  }
  const notes = new Map<string, string>()
  const url = await served(t, (request, response) => {
    const user = isA(request.headers.authorization) ? '1' : isB(request.headers.authorization) ? '2' : ''
    const key = request.url?.split('?')[0] ?? ''
    let body = ''
    request.on('data', (part) => (body += part))
    request.on('end', () => {
      if (!key.startsWith(`/users/${user}/`)) return response.writeHead(403).end()
      const is = notes.has(key)
      if (request.method === 'PUT') {
        notes.set(key, body)
        return response.writeHead(is ? 200 : 201).end(body)
      }
      if (!is) return response.writeHead(404).end()
      if (request.method === 'DELETE') notes.delete(key)
      return response.end(request.method === 'DELETE' ? undefined : notes.get(key))
    })
  })
  const run = await proved(t, { document: { ...oneOperation('get', path), paths }, url, tokens })
  t.equal(run.code, 0, run.out)
  t.equal(run.json.counts['sound'], 3, run.out)
  t.equal(notes.size, 0, 'cleaned up')
})

t.test('an item that cannot be made is not proven, and tried all the same', async (t) => {
  const document = oneOperation('get', '/users/{user_id}/notes/{note_id}')
  for (const [status, code] of [
    [404, 2],
    [200, 1],
  ] as const) {
    const url = await served(t, ({ headers }, response) => {
      response.writeHead(headers.authorization ? status : 401).end()
    })
    const run = await proved(t, { document, url, tokens })
    t.equal(run.code, code, run.out)
    if (code === 2) t.match(run.out, /A has no item to test it with: no operation creates a \{note_id\}/)
  }
})

t.test('a POST whose result nobody can read: its answer shows whom the body made the owner', async (t) => {
  const schema = {
    type: 'object',
    required: ['text'],
    properties: { text: { type: 'string' }, user_id: { type: 'string' } },
  }
  const document = oneOperation('post', '/users/{user_id}/messages', {
    requestBody: { content: { 'application/json': { schema } } },
  })
  for (const [believes, code] of [
    [false, 0],
    [true, 1],
  ] as const) {
    const url = await served(t, (request, response) => {
      const user = isA(request.headers.authorization) ? '1' : isB(request.headers.authorization) ? '2' : ''
      let text = ''
      request.on('data', (part) => (text += part))
      request.on('end', () => {
        if (request.url?.split('?')[0] !== `/users/${user}/messages`)
          return void response.writeHead(403).end()
        const body = JSON.parse(text)
        const message = { id: 1, text: body.text, user_id: (believes && body.user_id) || user }
        response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify(message))
      })
    })
    const run = await proved(t, { document, url, tokens })
    t.equal(run.code, code, run.out)
    if (believes) t.match(run.json.findings, [{ kind: 'owner_named', named_in: 'body', status: 201 }])
    t.match(run.json.left_behind, [/created at \/users\/\{user_id\}\/messages, and no operation deletes it/])
  }
})

t.test('an operation that the document declares open is reported, with the way to exclude it', async (t) => {
  const document = oneOperation('get', '/users/{user_id}/avatar', { security: [] })
  const url = await served(t, (_, response) => response.end('{}'))
  const run = await proved(t, { document, url, tokens })
  t.equal(run.code, 1)
  t.match(run.out, /exclude it with --skip/)
})

t.test('a document that cannot be tried leaves a report with an error', async (t) => {
  const run = await proved(t, { document: oneOperation('get', '/about'), url: 'http://127.0.0.1:1', tokens })
  t.equal(run.code, 2)
  t.match(run.json, { verdict: 'nothing_proven', operations: [] })
  t.match(run.junit, /tests="1" failures="0" errors="1"[\s\S]*no path has the owner \{user_id\}/)
})

t.test('a run that is stopped deletes what it has made', async (t) => {
  const { listener, items } = fastApiItems('none')
  const stop = new AbortController()
  let made = 0
  const url = await served(t, (request, response) => {
    response.once('finish', () => {
      made = Math.max(made, [...items.values()].flat().length)
      if (request.method === 'PUT') stop.abort()
    })
    listener(request, response)
  })
  const document = join(t.testdir(), 'openapi.json')
  writeFileSync(document, JSON.stringify(fastApiDocument))
  let err = ''
  const code = await run([document, '--base-url', url, '--user', tokens[0], '--user', tokens[1]], {
    env: {},
    out: () => {},
    err: (text) => (err += text),
    signal: stop.signal,
  })
  t.equal(code, 130)
  t.match(err, /stopped/)
  t.ok(made > 0)
  t.same([...items.values()].flat(), [])
})

t.test('a token is taken out of whatever a service repeats', async (t) => {
  const document = oneOperation('get', '/users/{user_id}')
  const url = await served(t, ({ headers: { authorization } }, response) => {
    response
      .writeHead(418, { 'content-type': 'application/json' })
      .end(JSON.stringify({ detail: `who is ${authorization}?` }))
  })
  const run = await proved(t, { document, url, tokens })
  t.equal(run.code, 2)
  t.match(run.out, /who is Bearer \[token\]\?/)
  t.equal(redactor(['opaque/1'])('x=opaque%2F1 opaque/1'), 'x=[token] [token]')
  t.ok(
    readFileSync('prove/src/cli.ts', 'utf8').includes("process.title = 'latchkey-prove'"),
    'and out of the list of processes',
  )
})
