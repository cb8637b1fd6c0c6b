import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import Fastify from 'fastify'
import t from 'tap'
import connections from '../../../plugins/http/connections.ts'

t.test('the drain does not wait for a client that pipelined requests and disconnected', async (t) => {
  const app = Fastify()
  await app.register(connections)
  let requests = 0
  const all = new Promise<void>((resolve) => {
    app.addHook('preHandler', async () => {
      if (++requests === 3) resolve()
    })
  })
  app.get('/', () => new Promise(() => {}))
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const accepted = once(app.server, 'connection')
  const socket = connect((app.server.address() as AddressInfo).port, '127.0.0.1')
  socket.write('GET / HTTP/1.1\r\nHost: x\r\n\r\n'.repeat(3))
  const [here] = await accepted
  await all
  const closed = once(here, 'close')
  socket.destroy()
  await closed
  const drained = app.drain().then(() => 'drained')
  t.equal(await Promise.race([drained, delay(2_000, 'still waiting', { ref: false })]), 'drained')
})
