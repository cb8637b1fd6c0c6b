import { once } from 'node:events'
import { connect, type Socket } from 'node:net'
import t from 'tap'
import { type TestUser, twoUsers } from '../../helper.ts'
import { portOf } from '../../support/wire.ts'

/** Seconds until the service closes the connection. */
async function secondsUntilClosed(socket: Socket): Promise<number> {
  const begun = performance.now()
  socket.on('error', () => {})
  await once(socket, 'close')
  return (performance.now() - begun) / 1000
}

/** Sends a text, and then one byte a second (Slowloris). */
function drip(port: number, head: string): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  socket.resume().write(head)
  const timer = setInterval(() => socket.write('a'), 1_000)
  socket.on('close', () => clearInterval(timer))
  return socket
}

/** Requests a list without reading responses, until the buffers of both sides are full. */
function neverReading(port: number, { tasks, token }: TestUser): Socket {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  const request = `GET ${tasks}?limit=100 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ${token}\r\n\r\n`
  socket.pause().write(request.repeat(200))
  return socket
}

t.test(
  'slow senders, idle connections and slow readers are disconnected (G10)',
  { timeout: 120_000 },
  async (t) => {
    const { app, alice } = await twoUsers(t)
    await app.listen({ port: 0, host: '127.0.0.1' })
    const port = portOf(app)
    // The server's socket: a client that does not read does not notice the close.
    const accepted = once(app.server, 'connection') as Promise<[Socket]>
    for (let at = 0; at < 100; at++) {
      await alice.call('POST', alice.tasks, { title: 'x'.repeat(200), description: 'y'.repeat(1000) })
    }
    const post = 'POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n'

    const within = async (socket: Socket, limit: number, label: string) => {
      const seconds = await secondsUntilClosed(socket)
      t.ok(seconds <= limit, `${label}: ${seconds.toFixed(1)} s`)
    }
    const reader = neverReading(port, alice)
    t.teardown(() => reader.destroy())
    const [readerHere] = await accepted
    // Opens the database connections before the slow clients connect.
    for (let at = 0; at < 4; at++) await alice.call('GET', alice.tasks)
    const idle = connect(port, '127.0.0.1')
    const live = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'
    idle.resume().write(live)
    const slow = Array.from({ length: 1_000 }, () => drip(port, 'GET /health/live HTTP/1.1\r\nX-'))
    await Promise.all([
      Promise.all(slow.map(secondsUntilClosed)).then((seconds) =>
        t.ok(Math.max(...seconds) <= 10, `1,000 slow heads: ${Math.max(...seconds).toFixed(1)} s`),
      ),
      within(drip(port, `${post}Content-Length: 10000\r\n\r\n`), 30, 'slow body'),
      within(drip(port, `${live}GET /health/live HTTP/1.1\r\nX-`), 10, 'slow head behind an answer'),
      within(idle, 72, 'idle'),
      within(readerHere, 60, 'slow reader'),
      (async () => {
        for (let at = 0; at < 50; at++) t.equal((await alice.call('GET', alice.tasks)).statusCode, 200)
      })(),
    ])
  },
)
