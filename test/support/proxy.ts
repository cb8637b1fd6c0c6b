import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { freshDatabase, type Test } from './postgres.ts'
import { server } from './production.ts'

/**
 * A TCP proxy to a new PostgreSQL database, to cut, freeze and stop.
 * @param up whether it accepts connections from the start
 */
export async function networkTo(t: Test, { up = true } = {}) {
  const direct = new URL((await freshDatabase(t, server)).url)
  const open = new Set<Socket>()
  let listener: Server | undefined
  let port = 0
  let frozen = false
  let lost: string | undefined

  const events = new EventEmitter()
  const first = once(events, 'connected')

  function pass(client: Socket): void {
    events.emit('connected')
    const upstream = connect(Number(direct.port || 5432), direct.hostname)
    for (const socket of [client, upstream]) {
      open.add(socket)
      socket.on('error', () => {})
    }
    client.on('close', () => upstream.destroy())
    upstream.on('close', () => client.destroy())
    if (frozen) {
      client.pause()
      return
    }
    client.pipe(upstream).pipe(client)
    client.on('data', (data) => {
      if (lost === undefined || !data.includes(lost)) return
      lost = undefined
      upstream.unpipe().resume()
      upstream.once('data', () => client.destroy())
    })
  }

  const network = {
    /** The database through the proxy. */
    url: '',
    /** The database without the proxy. */
    direct: direct.href,
    /** Resolves at the first connection. */
    connected: () => first,
    /** Forwards nothing more on existing connections, without closing them. */
    freeze(): void {
      for (const socket of open) socket.unpipe().pause()
    },
    /** Like freeze, also for new connections. */
    freezeAll(): void {
      frozen = true
      network.freeze()
    },
    /** Closes every connection. */
    cut(): void {
      for (const socket of open) socket.destroy()
      open.clear()
    },
    /** Closes the connection between the next statement with this text and its reply, once. */
    loseAnswerTo(text: string): void {
      lost = text
    },
    /** Closes every connection and refuses new ones. */
    async down(): Promise<void> {
      const closed = listener && once(listener, 'close')
      listener?.close()
      network.cut()
      await closed
      listener = undefined
    },
    /** Forwards everything again. */
    async up(): Promise<void> {
      frozen = false
      if (listener) return
      listener = createServer(pass).listen(port, '127.0.0.1')
      await once(listener, 'listening')
      port = (listener.address() as AddressInfo).port
    },
  }
  await network.up()
  const url = new URL(direct)
  url.hostname = '127.0.0.1'
  url.port = String(port)
  network.url = url.href
  if (!up) await network.down()
  t.teardown(() => network.down())
  return network
}
