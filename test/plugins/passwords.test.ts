import { once } from 'node:events'
import { type AddressInfo, connect } from 'node:net'
import Fastify from 'fastify'
import t from 'tap'
import passwords from '../../plugins/passwords.ts'
import { recommendedCost } from '../../src/passwords/hashes.ts'

t.test('a client that disconnects before it takes a slot leaks none (H10)', async (t) => {
  const app = Fastify()
  await app.register(passwords, { concurrency: 1, queue: 1, cost: recommendedCost })
  // An asynchronous step before the slot, as the limits in Redis are.
  app.addHook('onRequest', async ({ headers, raw }) => {
    if (headers['x-leaves']) await once(raw.socket, 'close')
  })
  let entered = 0
  app.get('/', { config: { hashes: true } }, async () => {
    entered++
    return 'done'
  })
  t.teardown(() => app.close())
  await app.listen({ host: '127.0.0.1', port: 0 })
  const { port } = app.server.address() as AddressInfo

  for (let client = 0; client < 2; client++) {
    const requested = once(app.server, 'request')
    const socket = connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\nX-Leaves: 1\r\n\r\n')
    const [request] = await requested
    const closed = once(request.socket, 'close')
    socket.destroy()
    await closed
  }
  for (let client = 0; client < 3; client++) t.equal((await app.inject('/')).statusCode, 200)
  t.equal(entered, 3, 'the handler does not run for the aborted ones')
})
