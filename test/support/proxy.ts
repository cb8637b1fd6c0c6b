import { EventEmitter, once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { freshDatabase, type Test } from './postgres.ts'
import { server } from './production.ts'

/**
 * A network between the service and a PostgreSQL database of the test's own, which a test can cut, freeze and take
 * away.
 * @param up whether the database can be reached from the beginning
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
    /** What the service is to be given. */
    url: '',
    /** The database itself, for the test. */
    direct: direct.href,
    /** Resolves when something has connected. */
    connected: () => first,
    /** Lets nothing more pass that is already connected, without a word. */
    freeze(): void {
      for (const socket of open) socket.unpipe().pause()
    },
    /** And nothing that connects from now on. */
    freezeAll(): void {
      frozen = true
      network.freeze()
    },
    /** Cuts every connection. */
    cut(): void {
      for (const socket of open) socket.destroy()
      open.clear()
    },
    /** Cuts the connection between the next statement with that text and its answer, once. */
    loseAnswerTo(text: string): void {
      lost = text
    },
    /** Cuts what there is, and refuses what comes, as where no server runs. */
    async down(): Promise<void> {
      const closed = listener && once(listener, 'close')
      listener?.close()
      network.cut()
      await closed
      listener = undefined
    },
    /** Passes everything again. */
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
