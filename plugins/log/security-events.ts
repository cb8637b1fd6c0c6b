import type { FastifyInstance, FastifyRequest } from 'fastify'
import fp from 'fastify-plugin'
import { EventBuffer, naming, type SecurityEvent } from '../../src/audit.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Takes the security events that no transaction carries. */
    readonly securityEvents: EventBuffer
  }
  interface FastifyRequest {
    /** The app for functions of src/ that report security events: in the log, those name this request. */
    readonly services: FastifyInstance
  }
}

/** `app.securityEvents`; what it has not written yet is written when the app closes. */
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
