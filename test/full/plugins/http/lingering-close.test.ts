import { once } from 'node:events'
import { connect } from 'node:net'
import type { FastifyInstance } from 'fastify'
import t from 'tap'
import { listeningApp, portOf } from '../../../support/wire.ts'

/** Sends the whole request before it reads, as many gateways do. @returns the response and socket errors */
async function sendFirst(app: FastifyInstance, head: string, body: Iterable<string>) {
  const socket = connect({ port: portOf(app), host: '127.0.0.1', allowHalfOpen: true })
  const errors: string[] = []
  socket.on('error', (error: NodeJS.ErrnoException) => errors.push(error.code ?? error.message))
  let text = ''
  socket.pause().on('data', (chunk) => {
    text += chunk
  })
  socket.pause()
  socket.write(head)
  for (const part of body) {
    if (!socket.write(part)) await Promise.race([once(socket, 'drain'), once(socket, 'close')])
    // The refusal arrives before the rest is sent.
    await new Promise(setImmediate)
    if (socket.destroyed) break
  }
  const closed = socket.closed ? undefined : once(socket, 'close')
  socket.resume().end()
  await closed
  return { text, errors }
}

function* parts(count: number, part: string): Generator<string> {
  for (let at = 0; at < count; at++) yield part
}

const json = 'Content-Type: application/json\r\n'
const long = 3_000_000
const plain = () => parts(100, 'a'.repeat(long / 100))
const chunks = () => parts(50, `ea60\r\n${'a'.repeat(60_000)}\r\n`)

t.test('a client that is still sending its body receives the refusal', async (t) => {
  const app = await listeningApp(t, { env: { RATE_LIMITS: 'on', RATE_LIMIT_SIGNUP: '1/1m' } })
  // Uses up the budget.
  await app.inject({ method: 'POST', url: '/api/auth/signup', payload: {} })
  const refused: [status: number, path: string, headers?: string][] = [
    [413, '/api/auth/login', json],
    [401, '/api/auth/logout', json],
    [415, '/api/auth/login', 'Content-Type: text/plain\r\n'],
    [429, '/api/auth/signup', json],
    [404, '/nope', json],
    [405, '/health/live', json],
    [400, '/%zz', json],
  ]
  for (const [status, path, headers = ''] of refused) {
    const head = `POST ${path} HTTP/1.1\r\nHost: x\r\n${headers}`
    for (const [framing, body] of [
      [`Content-Length: ${long}`, plain],
      ['Transfer-Encoding: chunked', chunks],
    ] as const) {
      const { text, errors } = await sendFirst(app, `${head}${framing}\r\n\r\n`, body())
      const name = `${status} ${path} ${framing}`
      t.same(errors, [], name)
      t.match(text, new RegExp(`^HTTP/1.1 ${status} .*\r\nconnection: close\r\n.*"code":`, 'is'), name)
    }
  }
  const old = await sendFirst(
    app,
    `POST /api/auth/logout HTTP/1.0\r\nContent-Length: ${long}\r\n\r\n`,
    plain(),
  )
  t.same(old.errors, [], 'HTTP/1.0')
  t.match(old.text, /^HTTP\/1.1 401 /)
  const garbage = await sendFirst(app, 'GARBAGE\r\n\r\n', plain())
  t.same(garbage.errors, [], 'not HTTP')
  t.match(garbage.text, /^HTTP\/1.1 400 /)
})

t.test('no request behind a refused message is served', async (t) => {
  const requests: string[] = []
  const app = await listeningApp(t, {
    extend: (app) => {
      app.addHook('onRequest', async ({ url }) => void requests.push(url))
    },
  })
  const body = 'a'.repeat(20_000)
  const head = `POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: ${body.length}\r\n\r\n`
  const { text } = await sendFirst(app, head, ['', body, 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'])
  t.equal(text.match(/HTTP\/1.1 /g)?.length, 1)
  t.same(requests, ['/api/auth/logout'])
})

t.test('a refusal before a short body keeps the connection', async (t) => {
  const app = await listeningApp(t)
  const head = 'POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n'
  const next = 'GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n'
  const { text } = await sendFirst(app, head, ['', 'a'.repeat(100), next])
  t.match(text, /^HTTP\/1.1 401 .*HTTP\/1.1 200 /s)
})

t.test('a client that never ends its body is disconnected (G10)', { timeout: 20_000 }, async (t) => {
  const app = await listeningApp(t)
  for (const pause of [0, 50]) {
    const socket = connect({ port: portOf(app), host: '127.0.0.1', allowHalfOpen: true })
    socket.on('error', () => {})
    const head = 'POST /api/auth/logout HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n'
    socket.resume().write(head)
    const timer = setInterval(() => socket.write(`ea60\r\n${'a'.repeat(60_000)}\r\n`), pause)
    const begun = performance.now()
    // EPIPE is the only error expected.
    await new Promise((resolve) => socket.once('close', resolve))
    clearInterval(timer)
    t.ok(performance.now() - begun < 5_000, `a part every ${pause} ms`)
  }
})
