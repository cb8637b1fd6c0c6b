import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import { twoUsers } from '../helper.ts'
import { portOf } from '../support/wire.ts'

/** What a gateway writes to a connection that it keeps, and what comes back on it. */
async function connectionTo(port: number) {
  const socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
  const errors: string[] = []
  let text = ''
  socket.on('error', ({ message }) => errors.push(message))
  socket.on('data', (chunk) => {
    text += chunk.toString('latin1')
  })
  const ended = once(socket, 'end')
  await once(socket, 'connect')
  return {
    socket,
    /** Resolves with the statuses of all that came when the service has ended the connection. */
    async untilEnd() {
      await ended
      const closed = once(socket, 'close')
      socket.end()
      await closed
      return {
        errors,
        text,
        statuses: [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => Number(status)),
      }
    },
    async untilAnswers(count: number) {
      while ((text.match(/HTTP\/1\.1 /g)?.length ?? 0) < count) await once(socket, 'data')
      return text
    },
  }
}

t.test('over the wire', async (t) => {
  const served: string[] = []
  const { app, alice, bob } = await twoUsers(t, {
    extend: (app) => {
      app.addHook('onRequest', async ({ originalUrl }) => void served.push(originalUrl))
    },
  })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const port = portOf(app)
  const authorization = (token: string) => `Authorization: Bearer ${token}\r\n`
  const head = (method: string, target: string, lines: string) =>
    `${method} ${target} HTTP/1.1\r\nHost: latchkey\r\n${lines}\r\n`
  const next = head('GET', '/gateway/verify?next', authorization(alice.token))
  const chunks = `${'3\r\nabc\r\n'.repeat(3)}0\r\n\r\n`

  t.test('a question without a body keeps its connection', async (t) => {
    const { socket, untilAnswers } = await connectionTo(port)
    for (const [at, method] of [
      'GET',
      'POST',
      'DELETE',
      'OPTIONS',
      'PROPFIND',
      'M-SEARCH',
      'TRACE',
    ].entries()) {
      const length = method === 'POST' ? 'Content-Length: 0\r\n' : ''
      socket.write(head(method, '/gateway/verify', authorization(alice.token) + length))
      const text = await untilAnswers(at + 1)
      t.notMatch(text, /connection: close/i, method)
      t.equal(text.match(/HTTP\/1\.1 200/g)?.length, at + 1, method)
    }
    socket.destroy()
  })

  const bodies: Record<string, [lines: string, body: string]> = {
    'with its length': ['Content-Type: application/json\r\nContent-Length: 9\r\n', '{"a":"b"}'],
    long: ['Content-Length: 900000\r\n', 'x'.repeat(900_000)],
    'in chunks': ['Transfer-Encoding: chunked\r\n', chunks],
    'that is not sent': ['Content-Length: 9\r\n', ''],
    'in chunks that are not sent': ['Transfer-Encoding: chunked\r\n', ''],
    'that waits for a 100': ['Content-Length: 9\r\nExpect: 100-continue\r\n', ''],
    'that does not wait for the 100': ['Content-Length: 9\r\nExpect: 100-continue\r\n', '{"a":"b"}'],
    'that expects more': ['Content-Length: 9\r\nExpect: the-unexpected\r\n', '{"a":"b"}'],
    'in a coding': ['Content-Type: x/y\r\nContent-Encoding: br\r\nContent-Length: 9\r\n', '{"a":"b"}'],
  }
  for (const [name, [lines, body]] of Object.entries(bodies)) {
    t.test(`a body ${name} is not read, and ends the connection`, async (t) => {
      for (const method of ['POST', 'GET', 'PROPFIND', 'OPTIONS']) {
        for (const [token, status] of [
          [alice.token, 200],
          [bob.token, 403],
          ['x', 401],
        ] as const) {
          served.length = 0
          const { socket, untilEnd } = await connectionTo(port)
          const target = `/gateway/verify?user_id=${alice.id}`
          socket.write(head(method, target, authorization(token) + lines) + body)
          // Pipelined behind it. After a body that is not sent, it would be the body.
          if (body) socket.write(next)
          const { text, statuses, errors } = await untilEnd()
          t.same(statuses, [status], `${method} ${status}: no 100, and nothing behind it`)
          t.match(text, /\r\nconnection: close\r\n/i, method)
          t.same(errors, [], 'no reset')
          t.same(served, [target], 'what follows is not served')
        }
      }
      const { socket, untilAnswers } = await connectionTo(port)
      socket.write(next.replace('?next', ''))
      t.match(await untilAnswers(1), /^HTTP\/1\.1 200 /, 'the next request, on another connection')
      socket.destroy()
    })
  }

  t.test('a body ends the connection after the questions before it', async (t) => {
    const { socket, untilEnd } = await connectionTo(port)
    const question = head('GET', '/gateway/verify', authorization(alice.token))
    const withBody = head('POST', '/gateway/verify', `${authorization(alice.token)}Content-Length: 3\r\n`)
    socket.write(`${question}${question}${withBody}abc${question}`)
    const { statuses, errors } = await untilEnd()
    t.same(statuses, [200, 200, 200])
    t.same(errors, [])
  })

  t.test('another route still asks for the body', async (t) => {
    const { socket, untilAnswers } = await connectionTo(port)
    const lines = 'Content-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n'
    socket.write(head('POST', '/api/auth/login', lines))
    t.match(await untilAnswers(1), /^HTTP\/1\.1 100 Continue\r\n\r\n$/)
    socket.write('{}')
    t.match(await untilAnswers(2), /HTTP\/1\.1 400 .*validation_failed/s)
    socket.destroy()
  })

  t.test('targets that a client library would change', async (t) => {
    const lines = `${authorization(bob.token)}Connection: close\r\n`
    const prefix = '/gateway/verify/owner=%2Fapi%2F:user_id'
    const answers: [target: string, status: number, more?: string][] = [
      [`${prefix}/api/${bob.id}`, 200],
      [`http://latchkey${prefix}/api/${bob.id}`, 200],
      [`${prefix}/api/${bob.id}/../${alice.id}`, 403],
      [`${prefix}/api/${alice.id}/../${bob.id}`, 403],
      [`${prefix}/api/${bob.id}/.`, 403],
      [`${prefix}//api/${bob.id}`, 403],
      [`${prefix}/api//${bob.id}`, 403],
      [`${prefix}/api/${bob.id}#/x`, 403],
      [`${prefix}/api/${bob.id}\\..\\x`, 403],
      [`/gateway/verify?user_id=${bob.id}#&scope=x`, 403],
      ['/gateway/verify#', 403],
      ['/gateway/verify/-/..', 200],
      ['/gateway/verify/-//', 200],
      [`/gateway/verify/-/${'a'.repeat(9_000)}`, 200],
      [`/gateway/verify?user_id=${'a'.repeat(9_000)}`, 403],
      [`/%67ateway/verify?user_id=${bob.id}`, 403],
      [`/gateway/%76erify?user_id=${alice.id}`, 403],
      [`http://another${prefix}/api/${bob.id}`, 403],
      ['http://another/gateway/verify?x=%zz', 403],
      ['ftp://latchkey/gateway/verify/-/x', 403],
      ['/gateway/verify', 403, 'Host: another\r\n'],
      ['/gateway/verify', 403, 'Transfer-Encoding: gzip, chunked\r\n'],
    ]
    for (const [target, status, more = ''] of answers) {
      const { socket, untilEnd } = await connectionTo(port)
      socket.write(head('GET', target, lines + more))
      t.same((await untilEnd()).statuses, [status], `${target.slice(0, 99)} ${more}`)
    }
    const { socket, untilEnd } = await connectionTo(port)
    socket.write(`GET /gateway/verify HTTP/1.0\r\n${authorization(bob.token)}\r\n`)
    t.same((await untilEnd()).statuses, [200], 'HTTP/1.0, as nginx speaks by default')
  })
})

t.test('targets behind the path of PUBLIC_URL', async (t) => {
  const { app, alice, bob } = await twoUsers(t, { env: { PUBLIC_URL: 'https://x.example/auth' } })
  await app.listen({ port: 0, host: '127.0.0.1' })
  const targets: [target: string, status: number][] = [
    ['http://latchkey/auth/gateway/verify', 200],
    [`http://latchkey/auth/gateway/verify?user_id=${alice.id}`, 403],
    ['http://another/auth/gateway/verify', 403],
    ['http://another/auth/gateway/verify/-/x', 403],
    ['http://another/gateway/verify', 403],
    [`/auth/%67ateway/verify?user_id=${alice.id}`, 403],
  ]
  for (const [target, status] of targets) {
    const { socket, untilEnd } = await connectionTo(portOf(app))
    const lines = `Host: latchkey\r\nAuthorization: Bearer ${bob.token}\r\nConnection: close\r\n`
    socket.write(`GET ${target} HTTP/1.1\r\n${lines}\r\n`)
    t.same((await untilEnd()).statuses, [status], target)
  }
})
