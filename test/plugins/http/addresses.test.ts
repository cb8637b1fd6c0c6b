import dns from 'node:dns'
import { once } from 'node:events'
import { connect } from 'node:net'
import t, { type Test } from 'tap'
import { testApp } from '../../helper.ts'

/** Resolves localhost to both of its addresses. */
function bothAddresses(t: Test): void {
  const { lookup } = dns
  t.teardown(() => {
    dns.lookup = lookup
  })
  const both = [
    { address: '127.0.0.1', family: 4 },
    { address: '::1', family: 6 },
  ]
  dns.lookup = ((host: string, options: object, done: (error: null, found: dns.LookupAddress[]) => void) =>
    host === 'localhost'
      ? done(null, both)
      : lookup(host, options, done as () => void)) as unknown as typeof lookup
}

async function answerAt(port: number, host: string, bytes: string): Promise<string> {
  const socket = connect(port, host)
  let text = ''
  socket.on('data', (chunk) => {
    text += chunk
  })
  socket.write(bytes)
  await once(socket, 'close')
  return text
}

t.test('both addresses of localhost are served alike', { timeout: 30_000 }, async (t) => {
  bothAddresses(t)
  const app = await testApp(t)
  const url = await app.listenOn({ host: 'localhost', port: 0 })
  t.match(url, /^http:\/\/127\.0\.0\.1:\d+$/)
  const port = Number(new URL(url).port)
  const padding = 'a:b\r\n'.repeat(2_005)
  const live = 'GET /health/live HTTP/1.1\r\nHost: x\r\n'
  const requests = {
    'a request': [`${live}Connection: close\r\n\r\n`, /^HTTP\/1.1 200 /],
    'no HTTP': ['GARBAGE\r\n\r\n', /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    CONNECT: ['CONNECT x:1 HTTP/1.1\r\nHost: x:1\r\n\r\n', /^HTTP\/1.1 405 .*"code":"method_not_allowed"/s],
    'a hidden host': [`${live}${padding}Host: y\r\n\r\n`, /^HTTP\/1.1 400 .*"code":"invalid_request"/s],
    'an expectation': [`${live}Expect: x\r\n\r\n`, /^HTTP\/1.1 417 .*"code":"expectation_failed"/s],
  } as const
  for (const host of ['127.0.0.1', '::1']) {
    for (const [name, [bytes, expected]] of Object.entries(requests)) {
      t.match(await answerAt(port, host, bytes), expected, `${name} at ${host}`)
    }
  }

  const idle = connect(port, '::1')
  idle.write(`${live}\r\n`)
  await once(idle, 'data')
  const closed = once(idle, 'close')
  idle.resume()
  const begun = performance.now()
  await app.close()
  await closed
  t.ok(performance.now() - begun < 3_000, 'an idle connection does not hold the close')
  const late = connect(port, '::1')
  const [error] = await once(late, 'error')
  t.equal(error.code, 'ECONNREFUSED', 'no new connection is accepted')
})

t.test('with one address, the service listens on that one', async (t) => {
  const app = await testApp(t)
  const { port } = new URL(await app.listenOn({ host: '127.0.0.1', port: 0 }))
  t.match(await answerAt(Number(port), '127.0.0.1', 'GARBAGE\r\n\r\n'), /^HTTP\/1.1 400 /)
})
