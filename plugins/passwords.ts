import type { onRequestHookHandler, preHandlerHookHandler } from 'fastify'
import fp from 'fastify-plugin'
import type { HashCost } from '../src/passwords/hashes.ts'
import { createPasswords, type Passwords } from '../src/passwords/pool.ts'
import { Slots } from '../src/passwords/slots.ts'
import { Problem } from '../src/problem.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly passwords: Passwords
  }
  interface FastifyContextConfig {
    /** Computes a password hash: refused at once when the queue is full, dropped when the client disconnects. */
    hashes?: boolean
  }
  interface FastifyRequest {
    /** Aborts when the client disconnects before its answer; only with `config.hashes`. */
    clientGone: AbortSignal | null
  }
}

/** `app.passwords`: the bounded pool for every hash. */
export default fp<{ readonly concurrency: number; readonly queue: number; readonly cost: HashCost }>(
  async (app, { concurrency, queue, cost }) => {
    const onMalformedHash = () =>
      app.log.error({ event: 'malformed_password_hash' }, 'a stored password hash is malformed')
    app.decorate('passwords', createPasswords({ concurrency, queue, cost, onMalformedHash }))
    app.decorateRequest('clientGone', null)

    // Load shedding: a request that cannot be served costs neither its body nor a query.
    const slots = new Slots(concurrency + queue)
    const refuseEarly: onRequestHookHandler = async () => slots.assertFree()
    // Only after the body: a slow sender must not hold a slot.
    const takeSlot: preHandlerHookHandler = async (request, reply) => {
      // `close` has been emitted already, so the slot would never be released.
      if (request.raw.socket.destroyed) {
        throw new Problem('service_unavailable', { reason: 'client_left' })
      }
      const release = slots.take()
      const controller = new AbortController()
      request.clientGone = controller.signal
      // Not `request.signal`, which aborts once the body has been read.
      reply.raw.once('close', () => {
        release()
        if (!reply.raw.writableFinished) controller.abort()
      })
    }
    app.addHook('onRoute', (route) => {
      if (!route.config?.hashes) return
      route.onRequest = [...[route.onRequest ?? []].flat(), refuseEarly] as onRequestHookHandler[]
      route.preHandler = [...[route.preHandler ?? []].flat(), takeSlot] as preHandlerHookHandler[]
    })
  },
  { name: 'latchkey-passwords', fastify: '5.x' },
)
