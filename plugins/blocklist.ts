import fp from 'fastify-plugin'
import { type Blocklist, loadBlocklist, noBlocklist, serviceNames } from '../src/passwords/blocklist.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Passwords that are refused as new ones. */
    readonly blocklist: Blocklist
  }
}

/** `app.blocklist`; it refuses nothing when disabled. */
export default fp<{ readonly enabled: boolean; readonly publicUrl: string }>(
  async (app, { enabled, publicUrl }) => {
    app.decorate('blocklist', enabled ? await loadBlocklist(serviceNames(publicUrl)) : noBlocklist)
  },
  { name: 'latchkey-blocklist', fastify: '5.x' },
)
