import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import type { Test } from '../../support/postgres.ts'
import { listeningApp, portOf } from '../../support/wire.ts'

const live = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'

/** A connection on which a request was answered, as a gateway keeps it. */
async function idleConnection(t: Test, seconds: string) {
  const app = await listeningApp(t, { env: { KEEP_ALIVE_SECONDS: seconds } })
  const socket = connect(portOf(app), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(live)
  const [answer] = await once(socket, 'data')
  return { app, socket, answer: String(answer) }
}

t.test('an idle connection ends after KEEP_ALIVE_SECONDS, which every answer names', async (t) => {
  const { socket, answer } = await idleConnection(t, '1')
  const begun = performance.now()
  t.match(answer, /\r\nkeep-alive: timeout=1\r\n/i)
  await once(socket.resume(), 'close')
  t.ok(performance.now() - begun > 900)
  t.match((await idleConnection(t, '610')).answer, /\r\nkeep-alive: timeout=610\r\n/i)
})

t.test('a request that has arrived when the connection is about to end is answered', async (t) => {
  const { app, socket } = await idleConnection(t, '1')
  socket.write(live)
  // Both the request and the end of the idle time come while the process is busy; Node adds a second to the latter.
  const busyMs = app.server.keepAliveTimeout + 1_200
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs)
  const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  t.match(String(answer), /^HTTP\/1\.1 200 /)
  await once(socket.resume(), 'close')
  t.pass('and ends when it is idle again')
})

t.test('a connection that may be idle for long does not hold up the stop', async (t) => {
  const { app, socket } = await idleConnection(t, '7200')
  const closed = once(socket.resume(), 'close')
  await app.drain()
  await app.close()
  await closed
  t.pass('it was ended')
})
