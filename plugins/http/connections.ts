import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether the process is shutting down; then /health/ready fails. */
    readonly draining: boolean
    /** Resolves when no more requests arrive and all are answered, or after a few seconds; call before `close`. */
    drain(): Promise<void>
  }
}

/** Without a request for so long, load balancers have stopped sending them; and the maximum for the drain. */
const quietMs = 500
const maxDrainMs = 3_000

/** Without a request for so long, every client waits for a response; and the maximum to wait for that. */
const gatheredMs = 50
const maxGatheringMs = 1_000

/** After which a closing process cuts all connections. */
const cutAfterMs = 4_000

/** After which a client that does not read its response is disconnected (slow read attack). */
const maxReadMs = 55_000

/** Between two checks for slow readers. */
const checkEveryMs = 1_000

/** A response in flight, and since when it waits to be read. */
interface Owed {
  readonly response: ServerResponse
  since: number
}

/**
 * Drains before closing, and disconnects slow readers. A server that closes at once ends idle connections to which a
 * client may have written its next request, and resets those that it has not accepted yet. While it drains, every
 * response has `connection: close`.
 */
export default fp(
  async (app) => {
    let draining = false
    let lastRequest = 0
    /** Holds requests back while the server stops listening, and how many are held. */
    let gate: Promise<void> | undefined
    let waiting = 0
    let inFlight = 0
    // Arrays, and a Map that changes per connection only: V8's outgrown tables of a Map or Set that changes per request
    // keep answered requests alive for many garbage collections.
    const queues = new Map<Socket, Owed[]>()
    /** Of `app.inject()`. */
    const injected: Owed[] = []

    function* allOwed(): Generator<Owed> {
      yield* injected
      for (const queue of queues.values()) yield* queue
    }

    // Node before 24 emits `close` only on the response being written. Emit it for the pipelined ones behind it, which
    // would leak otherwise.
    app.server.on('connection', (socket) => {
      const queue: Owed[] = []
      queues.set(socket, queue)
      socket.once('close', () => {
        queues.delete(socket)
        for (const { response } of [...queue]) response.emit('close')
      })
    })

    // The one asynchronous hook of every request: those behind it, and so every refusal, run once the bytes that came with
    // the head have been parsed.
    app.addHook('onRequest', async (request, { raw }) => {
      lastRequest = performance.now()
      if (draining) raw.shouldKeepAlive = false
      const queue = queues.get(request.raw.socket) ?? injected
      const owed = { response: raw, since: Number.POSITIVE_INFINITY }
      queue.push(owed)
      inFlight++
      // Not by `once`, which would wrap it; the event may come twice.
      raw.on('close', () => {
        const at = queue.indexOf(owed)
        if (at < 0) return
        queue.splice(at, 1)
        inFlight--
      })
      if (gate === undefined) return
      waiting++
      await gate
      waiting--
    })

    const announceEnd = () => {
      draining = true
      for (const { response } of allOwed()) response.shouldKeepAlive = false
    }
    app.decorate('draining', { getter: () => draining })
    app.decorate('drain', async () => {
      announceEnd()
      const begun = performance.now()
      const latest = begun + maxDrainMs
      lastRequest = begun
      for (let now = begun; now < latest; now = performance.now()) {
        if (now - lastRequest >= quietMs && inFlight === 0) return
        await delay(Math.min(Math.max(lastRequest + quietMs - now, 20), latest - now))
      }
    })

    /** Holds requests back until every client waits for a response, so that none is connecting when listening ends. */
    async function gather(): Promise<void> {
      let open = () => {}
      gate = new Promise((resolve) => {
        open = resolve
      })
      const latest = performance.now() + maxGatheringMs
      do await delay(gatheredMs)
      while (
        performance.now() < latest &&
        (inFlight > waiting || performance.now() - lastRequest < gatheredMs)
      )
      // The server stops listening in this turn of the event loop.
      setImmediate(open)
    }

    let cut: NodeJS.Timeout | undefined
    app.addHook('preClose', async () => {
      announceEnd()
      if (!app.server.listening) return
      await gather()
      // A closing server no longer times out slow senders.
      cut = setTimeout(() => app.server.closeAllConnections(), cutAfterMs).unref()
    })

    const timer = setInterval(() => {
      const now = performance.now()
      for (const owed of allOwed()) {
        if (owed.since === Number.POSITIVE_INFINITY && owed.response.writableEnded) owed.since = now
        else if (now - owed.since > maxReadMs) owed.response.destroy()
      }
    }, checkEveryMs).unref()
    app.addHook('onClose', async () => {
      clearInterval(timer)
      clearTimeout(cut)
    })
  },
  { name: 'latchkey-connections', fastify: '5.x' },
)
