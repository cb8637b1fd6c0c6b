import { EventEmitter, once } from 'node:events'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { testApp } from '../../helper.ts'
import type { Test } from '../../support/postgres.ts'
import { exchange, listeningApp, portOf } from '../../support/wire.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

async function loggingApp(t: Parameters<typeof testApp>[0]) {
  const lines: string[] = []
  const app = await testApp(t, { env: { LOG_LEVEL: 'info' }, log: (line) => lines.push(line) })
  lines.length = 0
  return { app, lines }
}

t.test('a request id is accepted only if it cannot inject into a log line or header (I05)', async (t) => {
  const { app, lines } = await loggingApp(t)
  const taken = [
    'a',
    'gateway-0123',
    'A'.repeat(128),
    'C0A80A01:9C40_7F000001:1F90_6748F0A1_0001:0002',
    'Root=1-67891233-abcdef012345678912345678',
    'Z0.9@host/1+2=',
  ]
  for (const id of taken) {
    const answer = await app.inject({ url: '/nope', headers: { 'x-request-id': id } })
    t.equal(answer.headers['x-request-id'], id)
    t.equal(answer.json().request_id, id)
    t.equal(JSON.parse(lines.pop() ?? '').reqId, id)
  }
  const forged = [
    '',
    'A'.repeat(129),
    'a b',
    'a,b',
    'a#b',
    'a%0d%0ab',
    'a\r\n{"level":60}',
    'a\nset-cookie: x=1',
    '\u001b[31mred',
    '{"a":1}',
    '<b>',
    'é',
    "'; drop table users;--",
  ]
  for (const id of forged) {
    const answer = await app.inject({ url: '/nope', headers: { 'x-request-id': id } })
    t.match(answer.headers['x-request-id'], uuid, JSON.stringify(id))
    t.equal(JSON.parse(lines.pop() ?? '').reqId, answer.headers['x-request-id'])
  }
  const twice = await app.inject({ url: '/nope', headers: { 'x-request-id': ['a', 'b'] } })
  t.match(twice.json().request_id, uuid, 'two ids')
})

const traceId = '0af7651916cd43dd8448eb211c80319c'

t.test('only the trace id of a valid traceparent is logged', async (t) => {
  const { app, lines } = await loggingApp(t)
  const parent = 'b7ad6b7169203331'
  const loggedFor = async (traceparent: string | string[]) => {
    await app.inject({ url: '/nope', headers: { traceparent } })
    return JSON.parse(lines.pop() ?? '').trace_id
  }
  for (const good of [
    `00-${traceId}-${parent}-01`,
    `00-${traceId}-${parent}-ff`,
    `cc-${traceId}-${parent}-00-x`,
  ])
    t.equal(await loggedFor(good), traceId, good)
  const bad = [
    '',
    traceId,
    `00-${traceId}-${parent}`,
    `00-${traceId}-${parent}-01-x`,
    `00-${traceId}-${parent}-01 `,
    `ff-${traceId}-${parent}-01`,
    `00-${'0'.repeat(32)}-${parent}-01`,
    `00-${traceId}-${'0'.repeat(16)}-01`,
    `00-${traceId.toUpperCase()}-${parent}-01`,
    `00-${traceId}0-${parent}-01`,
    `cc-${traceId}-${parent}-01x`,
  ]
  for (const header of bad) t.equal(await loggedFor(header), undefined, header)
  t.equal(await loggedFor([`cc-${traceId}-${parent}-00-x`, `00-${traceId}-${parent}-01`]), undefined, 'two')

  lines.length = 0
  const headers = { traceparent: `00-${traceId}-${parent}-01`, tracestate: 'vendor=canary' }
  const answer = await app.inject({ url: '/nope', headers })
  t.notOk(JSON.stringify([answer.headers, answer.body]).includes(traceId), 'not in the answer')
  t.notMatch(lines.join(''), /b7ad6b7169203331|canary/, 'nothing else of the two headers')
})

t.test('a successful health check is logged at debug, a failed one at info', async (t) => {
  const lines: string[] = []
  const app = await testApp(t, { env: { LOG_LEVEL: 'debug' }, log: (line) => lines.push(line) })
  const levels = () =>
    lines
      .splice(0)
      .map((line) => JSON.parse(line))
      .filter(({ msg }) => msg === 'request')
      .map(({ level, status }) => [level, status])
  levels()
  for (const url of ['/health/live', '/health/ready', '/openapi.json']) await app.inject(url)
  t.same(levels(), [
    [20, 200],
    [20, 200],
    [30, 200],
  ])
  await app.drain()
  await app.inject('/health/ready')
  t.same(levels(), [[30, 503]])
})

/** A listening app and its request lines. */
async function listeningLog(t: Test, extend?: (app: FastifyInstance) => void) {
  const requests: Record<string, unknown>[] = []
  const arrived = new EventEmitter()
  const app = await listeningApp(t, {
    env: { LOG_LEVEL: 'info' },
    ...(extend ? { extend } : {}),
    log(line) {
      const entry = JSON.parse(line)
      if (entry.msg !== 'request') return
      requests.push(entry)
      arrived.emit('line')
    },
  })
  const until = async (count: number) => {
    while (requests.length < count) await once(arrived, 'line')
  }
  return { app, requests, until }
}

t.test('a request whose client disconnects is logged once, as aborted', async (t) => {
  let release = () => {}
  const reached = new EventEmitter()
  const { app, requests, until } = await listeningLog(t, (app) => {
    app.get('/slow', { config: { access: 'public' } }, async () => {
      const held = new Promise<void>((resolve) => {
        release = resolve
      })
      reached.emit('handler')
      await held
      return {}
    })
  })
  const socket = connect(portOf(app), '127.0.0.1')
  socket.write(`GET /slow HTTP/1.1\r\nHost: x\r\nX-Request-Id: gone\r\n\r\n`)
  await once(reached, 'handler')
  socket.destroy()
  await until(1)
  t.match(requests, [{ reqId: 'gone', method: 'GET', route: '/slow', status: null, aborted: true }])
  release()
  await exchange(app, 'GET /nope HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n')
  await until(2)
  t.match(requests.slice(1), [{ status: 404, code: 'not_found', aborted: undefined }])
  t.equal(requests.length, 2, 'no second line when the handler ends')
})

t.test('each pipelined request of a client that disconnects is logged', async (t) => {
  const reached = new EventEmitter()
  let handlers = 0
  const { app, requests, until } = await listeningLog(t, (app) => {
    app.get('/never', { config: { access: 'public' } }, () => {
      if (++handlers === 3) reached.emit('all')
      return new Promise(() => {})
    })
  })
  const socket = connect(portOf(app), '127.0.0.1')
  const all = once(reached, 'all')
  socket.write('GET /never HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
  await all
  socket.destroy()
  await until(3)
  t.match(requests, Array(3).fill({ route: '/never', aborted: true }))
  t.equal(requests.length, 3)
})

t.test(
  'a message that is refused before routing is logged once, under the request id of its response',
  async (t) => {
    const { app, requests, until } = await listeningLog(t)
    const messages = {
      'GET /%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n': { method: 'GET', status: 400 },
      'garbage\r\n\r\n': { method: null, status: 400, code: 'invalid_request' },
      'CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n': { method: 'CONNECT', status: 405 },
      'GET / HTTP/1.1\r\n\r\n': { method: 'GET', status: 400, reason: 'host' },
      'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n':
        {
          method: 'POST',
          route: '/api/auth/login',
          status: 400,
          code: 'invalid_request',
          aborted: undefined,
        },
    }
    let count = 0
    for (const [message, line] of Object.entries(messages)) {
      const { body } = await exchange(app, message)
      await until(++count)
      t.match(requests.at(-1), line, message.slice(0, 20))
      t.equal(requests.length, count)
      if (!message.startsWith('POST')) t.equal(requests.at(-1)?.['reqId'], JSON.parse(body).request_id)
    }
  },
)

t.test('no input can inject a log line (I05)', async (t) => {
  const { app, lines } = await loggingApp(t)
  const forgery = 'canary\r\n{"level":60,"msg":"forged"}\u001b[2J'
  const requests = [
    { method: 'GET', url: '/openapi.yaml', headers: { 'user-agent': forgery, referer: forgery } },
    { method: 'GET', url: `/${encodeURIComponent(forgery)}?token=${encodeURIComponent(forgery)}` },
    { method: 'GET', url: `/api/${encodeURIComponent(forgery)}/tasks` },
    { method: 'GET', url: '/api/auth/me', headers: { authorization: `Bearer ${forgery}` } },
    { method: 'POST', url: '/api/auth/login', payload: { email: forgery, password: forgery } },
    { method: 'POST', url: '/api/auth/login', payload: { [forgery]: forgery } },
    {
      method: 'POST',
      url: '/api/auth/login',
      payload: forgery,
      headers: { 'content-type': 'application/json' },
    },
    { method: 'POST', url: '/api/auth/login', payload: { email: 'nobody@example.com', password: forgery } },
  ] as const
  for (const request of requests) {
    lines.length = 0
    await app.inject(request)
    const requestLines = lines.filter((line) => JSON.parse(line).msg === 'request')
    t.equal(requestLines.length, 1, `${request.method} ${request.url.slice(0, 20)}`)
    t.match(JSON.parse(requestLines[0] ?? ''), { level: 30, method: request.method })
    for (const line of lines) {
      t.equal(line.indexOf('\n'), line.length - 1, 'one line')
      t.notMatch(line, /canary|forged/, 'without the input')
    }
  }
})

t.test('the stored user agent is printable and bounded (I05)', async (t) => {
  const app = await testApp(t)
  await app.inject({
    method: 'POST',
    url: '/api/auth/signup',
    headers: { 'user-agent': `a\r\nb\u001b[31m\u0000é${'x'.repeat(5_000)}` },
    payload: { email: 'agent@example.com', password: 'correct horse battery', name: 'Agent' },
  })
  const { user_agent: kept } = await app.db
    .selectFrom('sessions')
    .select('user_agent')
    .executeTakeFirstOrThrow()
  t.match(kept, /^a\?\?b\?\[31m\?\?x+$/)
  t.equal(kept.length, 255)
})
