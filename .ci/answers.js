// Exits 0 when the server answers: node .ci/answers.js postgres|redis URL
import { once } from 'node:events'
import net from 'node:net'
import tls from 'node:tls'
import pg from 'pg'

const checks = {
  async postgres(url) {
    const client = new pg.Client({ connectionString: url, connectionTimeoutMillis: 5_000 })
    await client.connect()
    await client.end()
  },
  async redis(url) {
    const { protocol, hostname, port } = new URL(url)
    const host = hostname.replace(/^\[|\]$/g, '')
    const open = protocol === 'rediss:' ? tls.connect : net.connect
    const socket = open({ host, port: Number(port || 6379), timeout: 5_000 })
    socket.on('timeout', () => socket.destroy(new Error('no answer within 5 seconds')))
    socket.write('PING\r\n')
    const [answer] = await once(socket, 'data')
    socket.destroy()
    // A server that asks for a password first is there, too.
    if (!/^(\+PONG|-NOAUTH)/.test(answer)) throw new Error('this is no Redis')
  },
}

const [kind, url] = process.argv.slice(2)
try {
  await checks[kind](url)
} catch (error) {
  process.stderr.write(`${error.message || error.code}\n`)
  process.exit(1)
}
