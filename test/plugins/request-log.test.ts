import t from 'tap'
import { testApp } from '../helper.ts'

const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/

async function loggingApp(t: Parameters<typeof testApp>[0]) {
  const lines: string[] = []
  const app = await testApp(t, { env: { LOG_LEVEL: 'info' }, log: (line) => lines.push(line) })
  lines.length = 0
  return { app, lines }
}

t.test('I05: a request id is taken over only if it cannot forge a line or a header', async (t) => {
  const { app, lines } = await loggingApp(t)
  for (const id of ['a', 'gateway-0123', 'A'.repeat(64)]) {
    const answer = await app.inject({ url: '/health/live', headers: { 'x-request-id': id } })
    t.equal(answer.headers['x-request-id'], id)
    t.equal(JSON.parse(lines.pop() ?? '').reqId, id)
  }
  const forged = [
    '',
    'A'.repeat(65),
    'a b',
    'a_b',
    'a\r\n{"level":60}',
    'a\nset-cookie: x=1',
    '\u001b[31mred',
    '{"a":1}',
    'é',
    "'; drop table users;--",
  ]
  for (const id of forged) {
    const answer = await app.inject({ url: '/health/live', headers: { 'x-request-id': id } })
    t.match(answer.headers['x-request-id'], uuid, JSON.stringify(id))
    t.equal(JSON.parse(lines.pop() ?? '').reqId, answer.headers['x-request-id'])
  }
  const twice = await app.inject({ url: '/nope', headers: { 'x-request-id': ['a', 'b'] } })
  t.match(twice.json().request_id, uuid, 'two of them are none')
})

t.test('I05: what a sender writes never becomes a line of its own', async (t) => {
  const { app, lines } = await loggingApp(t)
  const forgery = 'canary\r\n{"level":60,"msg":"forged"}\u001b[2J'
  const requests = [
    { method: 'GET', url: '/health/live', headers: { 'user-agent': forgery, referer: forgery } },
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
      t.notMatch(line, /canary|forged/, 'and holds nothing of it')
    }
  }
})

t.test('I05: the user agent kept with a session is printable and bounded', async (t) => {
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
