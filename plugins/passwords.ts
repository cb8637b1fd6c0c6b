import fp from 'fastify-plugin'
import { createPasswords, type Passwords } from '../src/accounts/passwords.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly passwords: Passwords
  }
}

/** `app.passwords`: the bounded pool that every hash goes through. */
export default fp<{ readonly concurrency: number; readonly queue: number }>(
  async (app, { concurrency, queue }) => {
    const onMalformedHash = () =>
      app.log.error({ event: 'malformed_password_hash' }, 'a stored hash is unreadable')
    app.decorate('passwords', createPasswords({ concurrency, queue, onMalformedHash }))
  },
  { name: 'latchkey-passwords', fastify: '5.x' },
)
