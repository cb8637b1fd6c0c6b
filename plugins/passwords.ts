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
    /** It ends in a password hash: refused at once when that could not be computed soon, given up when its client leaves. */
    hashes?: boolean
  }
  interface FastifyRequest {
    /** Aborts when the client disconnects before its answer; only with `config.hashes`. */
    clientGone: AbortSignal | null
  }
}

/** `app.passwords`: the bounded pool that every hash goes through. */
export default fp<{ readonly concurrency: number; readonly queue: number; readonly cost: HashCost }>(
  async (app, { concurrency, queue, cost }) => {
    const onMalformedHash = () =>
      app.log.error({ event: 'malformed_password_hash' }, 'a stored hash is unreadable')
    app.decorate('passwords', createPasswords({ concurrency, queue, cost, onMalformedHash }))
    app.decorateRequest('clientGone', null)

    // What a flood cannot have served must cost little: not a body to read, and no look at the database.
    const slots = new Slots(concurrency + queue)
    const refuseEarly: onRequestHookHandler = async () => slots.assertFree()
    // Only now that the body has come: whoever sends it slowly must not keep a slot from others.
    const takeSlot: preHandlerHookHandler = async (request, reply) => {
      // Nobody would hear that it ended.
      if (request.raw.socket.destroyed) {
        throw new Problem('service_unavailable', { reason: 'client_left' })
      }
      const leave = slots.take()
      const controller = new AbortController()
      request.clientGone = controller.signal
      // Not `request.signal`, which aborts as soon as the body has been read.
      reply.raw.once('close', () => {
        leave()
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
