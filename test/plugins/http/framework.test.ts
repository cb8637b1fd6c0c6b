import { once } from 'node:events'
import type { Socket } from 'node:net'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { signUp } from '../../helper.ts'
import { exchange, listeningApp, portOf, type WireAnswer } from '../../support/wire.ts'

const live = 'GET /health/live HTTP/1.1\r\nHost: x\r\n'
const login = 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

async function listeningWithUser(t: Test) {
  const app = await listeningApp(t)
  return { app, alice: await signUp(app, 'alice') }
}

function assertProblem(t: Test, answer: WireAnswer, status: number, code: string, name: string): void {
  t.equal(answer.status, status, name)
  t.match(
    answer.headers,
    { 'content-type': 'application/problem+json; charset=utf-8', connection: 'close' },
    name,
  )
  t.match(answer.headers, { 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }, name)
  const body = JSON.parse(answer.body)
  t.match(body, { type: 'about:blank', status, code }, name)
  t.match(body.request_id, /^[0-9a-f-]{36}$/, name)
}

/** Request smuggling: messages that two servers can read differently. */
const ambiguous: Record<string, string> = {
  'content-length and transfer-encoding': `${login}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`,
  'transfer-encoding and content-length': `${login}Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n`,
  'two content-lengths': `${login}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello`,
  'one content-length twice': `${login}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}`,
  'negative content-length': `${login}Content-Length: -1\r\n\r\n`,
  'signed content-length': `${login}Content-Length: +2\r\n\r\n{}`,
  'overflowing content-length': `${login}Content-Length: 99999999999999999999999\r\n\r\n{}`,
  'unknown transfer coding': `${login}Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n`,
  'chunked not last': `${login}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n`,
  'a coding before chunked': `${login}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  'chunked twice': `${login}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  'space before the colon': `${login}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n`,
  'invalid chunk size': `${login}Transfer-Encoding: chunked\r\n\r\nzz\r\n`,
  'a coding in HTTP/1.0': `${login.replace('1.1', '1.0')}Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
  'folded line': `${live}X-A: a\r\n b\r\n\r\n`,
  'bare LF': 'GET /health/live HTTP/1.1\nHost: x\n\n',
  'bare LF in a header': `${live}X-A: a\nX-B: b\r\n\r\n`,
  'bare CR in a header': `${live}X-A: a\rX-B: b\r\n\r\n`,
  'NUL in the path': 'GET /health/\0live HTTP/1.1\r\nHost: x\r\n\r\n',
  'NUL in a header': `${live}X-A: a\0b\r\n\r\n`,
  'high byte in the path': 'GET /health/\xff HTTP/1.1\r\nHost: x\r\n\r\n',
  'not HTTP': '\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03 hello',
  'HTTP/2 preface': 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
  'HTTP/0.9': 'GET /health/live\r\n\r\n',
}

t.test('an ambiguous message is refused and ends the connection (G07)', async (t) => {
  const app = await listeningApp(t)
  for (const [name, bytes] of Object.entries(ambiguous)) {
    assertProblem(t, await exchange(app, bytes), 400, 'invalid_request', name)
  }
})

t.test('a refused client that keeps its half open is cut off (G07)', { timeout: 10_000 }, async (t) => {
  const app = await listeningApp(t)
  const accepted = once(app.server, 'connection') as Promise<[Socket]>
  const socket = connect({ port: portOf(app), host: '127.0.0.1', allowHalfOpen: true })
  t.teardown(() => socket.destroy())
  socket.on('error', () => {})
  socket.resume().write('garbage\r\n\r\n')
  const [serverSide] = await accepted
  await once(serverSide, 'close')
  t.ok(serverSide.destroyed)
})

t.test('a request names one host and a path (G08)', async (t) => {
  const app = await listeningApp(t)
  const refused = {
    'no host': 'GET /health/live HTTP/1.1\r\n\r\n',
    'no host, unknown path': 'GET /nope HTTP/1.1\r\n\r\n',
    'two hosts': `${live}Host: y\r\n\r\n`,
    'one host twice': `${live}HOST: x\r\n\r\n`,
    'absolute form with a user': 'GET http://u@x/health/live HTTP/1.1\r\nHost: x\r\n\r\n',
    'absolute form of another port': 'GET http://x:81/health/live HTTP/1.1\r\nHost: x\r\n\r\n',
    'absolute form without a host': 'GET http://x/health/live HTTP/1.1\r\n\r\n',
    'absolute form of another host': 'GET http://evil.test/nope HTTP/1.1\r\nHost: x\r\n\r\n',
    'asterisk form': 'OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n',
  }
  for (const [name, bytes] of Object.entries(refused)) {
    assertProblem(t, await exchange(app, bytes), 400, 'invalid_request', name)
  }
  for (const [target, host] of [
    ['http://x/health/live', 'x'],
    ['http://X:80/health/live?a=b', 'x'],
    ['HTTPS://x:443/health/live', 'x'],
  ]) {
    const absolute = `GET ${target} HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`
    t.equal((await exchange(app, absolute)).status, 200, `${target}: RFC 9112 section 3.2.2`)
  }
  const root = await exchange(app, 'GET http://x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  assertProblem(t, root, 404, 'not_found', 'absolute form without a path')
  const old = await exchange(app, 'GET /health/live HTTP/1.0\r\n\r\n')
  t.equal(old.status, 200, 'load balancers still use HTTP/1.0, which has no Host')
})

t.test('headers have a size limit', async (t) => {
  const app = await listeningApp(t)
  const large = await exchange(app, `${live}X-A: ${'a'.repeat(20_480)}\r\n\r\n`)
  assertProblem(t, large, 431, 'headers_too_large', '20 KiB')

  const many = Array.from({ length: 1_500 }, (_, at) => `a${at}: 1\r\n`).join('')
  t.match(
    [200, 431],
    [(await exchange(app, `${live}${many}Connection: close\r\n\r\n`)).status, 431],
    '1,500 headers',
  )

  const poisonous = '__proto__: 1\r\nconstructor: 2\r\nprototype: 3\r\nConnection: close\r\n\r\n'
  t.equal((await exchange(app, live + poisonous)).status, 200)
  t.notOk('1' in {})
})

t.test('a header behind 2,000 others is still checked (G08)', async (t) => {
  const { app, alice } = await listeningWithUser(t)
  const padding = 'a:b\r\n'.repeat(2_005)
  const me = `GET /api/auth/me HTTP/1.1\r\nHost: x\r\n`
  const token = `Authorization: Bearer ${alice.token}\r\n`
  const end = 'Connection: close\r\n\r\n'
  t.equal((await exchange(app, me + token + padding + end)).status, 200, 'the padding alone is accepted')
  assertProblem(
    t,
    await exchange(app, `${me}${token}${padding}Host: y\r\n${end}`),
    400,
    'invalid_request',
    'host',
  )
  const second = await exchange(app, `${me}${token}${padding}Authorization: Bearer x\r\n${end}`)
  t.equal(second.status, 400, 'a second token')
  const coded = `${login}${padding}Transfer-Encoding: gzip, chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`
  assertProblem(t, await exchange(app, coded), 400, 'invalid_request', 'transfer coding')

  const task = await alice.call('POST', alice.tasks, { title: 'mine' })
  const body = '{"title":"overwritten"}'
  const patch = `PATCH ${alice.tasks}/${task.json().id} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n`
  const stale = `${patch}Content-Length: ${body.length}\r\n${token}${padding}If-Match: "77"\r\n${end}${body}`
  t.equal((await exchange(app, stale)).status, 412)

  const pipelined = await exchange(app, `${live}\r\n${live}${padding}Host: y\r\n\r\n`)
  t.match(pipelined.body, /HTTP\/1.1 400 /, 'of a second request on the connection')
})

t.test('an unknown Expect gets 417', async (t) => {
  const app = await listeningApp(t)
  const asked = await exchange(app, `${live}Expect: x\r\n\r\n`)
  assertProblem(t, asked, 417, 'expectation_failed', 'Expect: x')
  const old = await exchange(app, 'GET /health/live HTTP/1.0\r\nExpect: x\r\n\r\n')
  t.equal(old.status, 200, 'HTTP/1.0 has no Expect')
  const body = `Content-Length: 2\r\nExpect: 100-Continue\r\nConnection: close\r\n\r\n{}`
  const continued = await exchange(app, login + body)
  t.equal(continued.status, 100)
  t.match(continued.body, /"code":"validation_failed"/)
})

t.test('the body limit applies to the declared and to the actual length', async (t) => {
  const app = await listeningApp(t)
  const claimed = await exchange(app, `${login}Content-Length: 16385\r\n\r\n{}`)
  assertProblem(t, claimed, 413, 'payload_too_large', 'refused before the body arrives')
  const chunked = await exchange(
    app,
    `${login}Transfer-Encoding: chunked\r\n\r\n4001\r\n${'a'.repeat(0x4001)}\r\n0\r\n\r\n`,
  )
  assertProblem(t, chunked, 413, 'payload_too_large', 'chunked')
  const longer = await exchange(app, `${login}Content-Length: 2\r\n\r\n{}GARBAGE\r\n\r\n`)
  t.equal(longer.status, 400, 'bytes beyond Content-Length are not part of the body')
})

t.test('methods that no route has are refused (G14)', async (t) => {
  const app = await listeningApp(t)
  const tunnel = await exchange(app, 'CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\r\n')
  assertProblem(t, tunnel, 405, 'method_not_allowed', 'CONNECT')
  assertProblem(t, await exchange(app, 'FOO / HTTP/1.1\r\nHost: x\r\n\r\n'), 400, 'invalid_request', 'FOO')
  const trace = await exchange(app, `TRACE${live.slice(3)}X-Canary: c\r\nConnection: close\r\n\r\n`)
  assertProblem(t, trace, 405, 'method_not_allowed', 'TRACE')
  t.equal(trace.headers['allow'], 'GET, HEAD')
  t.notMatch(trace.body, /canary/i)
})

t.test('a malformed or too long path is not echoed', async (t) => {
  const app = await listeningApp(t)
  const answerTo = (path: string) =>
    exchange(app, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
  for (const path of ['/%zz', '/api/%zz/tasks', '/%c0%af', '/health/live%']) {
    const answer = await answerTo(path)
    assertProblem(t, answer, 400, 'invalid_request', path)
    t.notMatch(answer.body, '%')
  }
  for (const path of [`/${'canary'.repeat(1_366)}`, `/api/${'canary'.repeat(50)}/tasks`]) {
    const answer = await answerTo(path)
    assertProblem(t, answer, 414, 'uri_too_long', `${path.length} characters`)
    t.notMatch(answer.body, 'canary')
  }
})
