import fp from 'fastify-plugin'
import { LaterEvents } from '../src/audit.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Takes the security events that no transaction carries. */
    readonly securityEvents: LaterEvents
  }
}

/** `app.securityEvents`; what it has not written yet is written when the app closes. */
export default fp(
  async (app) => {
    const events = new LaterEvents(app.db, app.log)
    app.decorate('securityEvents', events)
    app.addHook('onClose', () => events.flush())
  },
  { name: 'latchkey-security-events', fastify: '5.x', dependencies: ['latchkey-database'] },
)
