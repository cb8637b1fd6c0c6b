import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { EventBuffer, naming, type SecurityEvent } from '../../src/audit.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** For security events outside a transaction. */
    readonly securityEvents: EventBuffer
  }
  interface FastifyRequest {
    /** The app for functions of src/ that report security events: their log lines have this request's id. */
    readonly services: FastifyInstance
  }
}

/** `app.securityEvents`; pending ones are flushed when the app closes. */
export default fp(
  async (app) => {
    const events = new EventBuffer(app.db, app.log)
    app.decorate('securityEvents', events)
    app.decorateRequest('services', {
      getter(this: FastifyRequest): FastifyInstance {
        const log = naming(this.id, app.log)
        const note = (event: SecurityEvent) => events.note(event, log)
        return Object.create(this.server, { log: { value: log }, securityEvents: { value: { note } } })
      },
    })
    app.addHook('onClose', () => events.flush())
  },
  { name: 'latchkey-security-events', fastify: '5.x', dependencies: ['latchkey-database'] },
)
