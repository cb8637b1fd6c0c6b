import { once } from 'node:events'
import { connect } from 'node:net'
import t from 'tap'
import type { Test } from '../../../support/postgres.ts'
import { listeningApp, portOf } from '../../../support/wire.ts'

const live = 'GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n'

/** An idle keep-alive connection, as a gateway holds it. */
async function idleConnection(t: Test, seconds: string) {
  const app = await listeningApp(t, { env: { KEEP_ALIVE_SECONDS: seconds } })
  const socket = connect(portOf(app), '127.0.0.1')
  t.teardown(() => socket.destroy())
  socket.write(live)
  const [answer] = await once(socket, 'data')
  return { app, socket, answer: String(answer) }
}

t.test('an idle connection ends after KEEP_ALIVE_SECONDS, which every response states', async (t) => {
  const { socket, answer } = await idleConnection(t, '1')
  const begun = performance.now()
  t.match(answer, /\r\nkeep-alive: timeout=1\r\n/i)
  await once(socket.resume(), 'close')
  t.ok(performance.now() - begun > 900)
  t.match((await idleConnection(t, '610')).answer, /\r\nkeep-alive: timeout=610\r\n/i)
})

t.test('a request that arrives as the idle connection times out is answered', async (t) => {
  const { app, socket } = await idleConnection(t, '1')
  socket.write(live)
  // The request arrives and the timeout passes while the event loop is blocked; Node adds a second to the timeout.
  const busyMs = app.server.keepAliveTimeout + 1_200
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, busyMs)
  const [answer] = await Promise.race([once(socket, 'data'), once(socket, 'close')])
  t.match(String(answer), /^HTTP\/1\.1 200 /)
  await once(socket.resume(), 'close')
  t.pass('the connection ends when it is idle again')
})

t.test('a long keep-alive timeout does not delay the stop', async (t) => {
  const { app, socket } = await idleConnection(t, '7200')
  const closed = once(socket.resume(), 'close')
  await app.drain()
  await app.close()
  await closed
  t.pass('the connection was closed')
})
