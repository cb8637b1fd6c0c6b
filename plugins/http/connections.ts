import type { ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { setTimeout as delay } from 'node:timers/promises'
import fp from 'fastify-plugin'

declare module 'fastify' {
  interface FastifyInstance {
    /** Whether the process is about to end; /health/ready says so. */
    readonly draining: boolean
    /** Serves on until nobody seems to send any more and all is answered; then is the time to close. */
    drain(): Promise<void>
  }
}

/** Milliseconds without a request that tell that who sends them has turned elsewhere, and the most to wait for them. */
const quiet = 500
const longestDrain = 3_000

/** Milliseconds without a request after which all who wait for an answer have sent theirs, and the most to wait. */
const gathered = 50
const longestGathering = 1_000

/** Milliseconds after which a closing process waits for no connection any more. */
const patience = 4_000

/** Milliseconds in which an answer has to be taken. */
const slowestReader = 55_000

/** Milliseconds between two looks for readers that are slower. */
const interval = 1_000

/** An answer that is under way, and since when it has been waiting to be taken. */
interface Owed {
  readonly response: ServerResponse
  since: number
}

/**
 * Lets no answer hold a connection for good, and cuts no connection that a client counts on. A server that closes ends
 * its idle connections, into which a client may have written its next request just then, and resets those that it has
 * not accepted yet. So it drains first: every answer is the last on its connection, and says so, until no more
 * requests come. And a client that does not take its answer is cut off.
 */
export default fp(
  async (app) => {
    let draining = false
    let lastRequest = 0
    /** What requests wait for before anything is done about them, and how many do. */
    let gate: Promise<void> | undefined
    let waiting = 0
    let underWay = 0
    // Lists, and a Map that only connections change: of a Map or Set that each request changes, V8's outgrown tables
    // lead to the next ones, so that what has long been answered outlives many garbage collections.
    const queues = new Map<Socket, Owed[]>()
    /** Of what comes by no connection. */
    const injected: Owed[] = []

    function* allOwed(): Generator<Owed> {
      yield* injected
      for (const queue of queues.values()) yield* queue
    }

    // Before version 24, Node tells only the answer whose turn it is that its client has left. Those that wait behind
    // it would never end, and what they hold would be lost.
    app.server.on('connection', (socket) => {
      const queue: Owed[] = []
      queues.set(socket, queue)
      socket.once('close', () => {
        queues.delete(socket)
        for (const { response } of [...queue]) response.emit('close')
      })
    })

    app.addHook('onRequest', async (request, { raw }) => {
      lastRequest = performance.now()
      if (draining) raw.shouldKeepAlive = false
      const queue = queues.get(request.raw.socket) ?? injected
      const owed = { response: raw, since: Number.POSITIVE_INFINITY }
      queue.push(owed)
      underWay++
      raw.once('close', () => {
        queue.splice(queue.indexOf(owed), 1)
        underWay--
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
      const latest = begun + longestDrain
      lastRequest = begun
      for (let now = begun; now < latest; now = performance.now()) {
        if (now - lastRequest >= quiet && underWay === 0) return
        await delay(Math.min(Math.max(lastRequest + quiet - now, 20), latest - now))
      }
    })

    /** Lets clients that go on regardless all wait for their answers: none of them is about to be accepted then. */
    async function gather(): Promise<void> {
      let open = () => {}
      gate = new Promise((resolve) => {
        open = resolve
      })
      const latest = performance.now() + longestGathering
      do await delay(gathered)
      while (performance.now() < latest && (underWay > waiting || performance.now() - lastRequest < gathered))
      // The server stops listening in this turn of the event loop.
      setImmediate(open)
    }

    let cut: NodeJS.Timeout | undefined
    app.addHook('preClose', async () => {
      announceEnd()
      if (!app.server.listening) return
      await gather()
      // Closing, the server has no eye on slow senders any more: one that never ends its request would keep it.
      cut = setTimeout(() => app.server.closeAllConnections(), patience).unref()
    })

    const timer = setInterval(() => {
      const now = performance.now()
      for (const owed of allOwed()) {
        if (owed.since === Number.POSITIVE_INFINITY && owed.response.writableEnded) owed.since = now
        else if (now - owed.since > slowestReader) owed.response.destroy()
      }
    }, interval).unref()
    app.addHook('onClose', async () => {
      clearInterval(timer)
      clearTimeout(cut)
    })
  },
  { name: 'latchkey-connections', fastify: '5.x' },
)
