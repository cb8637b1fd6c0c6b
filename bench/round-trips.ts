import { once } from 'node:events'
import { connect, createServer } from 'node:net'

/** A proxy to PostgreSQL that counts round trips. */
export interface Counter {
  readonly url: string
  /** Round trips so far. */
  count(): number
  stop(): void
}

/** A round trip begins with the first bytes from the client after a response. */
export async function countRoundTrips(url: string): Promise<Counter> {
  const target = new URL(url)
  let roundTrips = 0
  const server = createServer((client) => {
    const upstream = connect(Number(target.port || 5432), target.hostname)
    let answered = true
    client.on('data', (chunk) => {
      if (answered) roundTrips++
      answered = false
      upstream.write(chunk)
    })
    upstream.on('data', (chunk) => {
      answered = true
      client.write(chunk)
    })
    for (const socket of [client, upstream])
      socket.on('error', () => {}).on('close', () => [client, upstream].map((end) => end.destroy()))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const through = new URL(url)
  through.host = `127.0.0.1:${(server.address() as { port: number }).port}`
  return { url: through.href, count: () => roundTrips, stop: () => server.close() }
}
