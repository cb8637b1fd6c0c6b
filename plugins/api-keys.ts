import fp from 'fastify-plugin'
import { LastUses } from '../src/api-keys/last-uses.ts'
import { KeyVerifier } from '../src/api-keys/verifier.ts'
import { findKeyPrincipal } from '../src/api-keys/without-owner.ts'
import type { Clock } from '../src/clock.ts'
import { Turns } from '../src/db/turns.ts'
import type { SecondFactorRule } from '../src/tokens/requirements.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Verifies the text of an API key. */
    readonly apiKeys: KeyVerifier
    /** When API keys were last used, until it is written. */
    readonly keyUses: LastUses
    /** The creation of keys, one at a time of each owner. */
    readonly keyTurns: Turns
  }
}

const turnTimeoutMs = 10_000

/** Where a key depends on the second factor of its account, which can change. */
const rememberedWithFactorMs = 60_000

interface ApiKeyOptions {
  readonly clock: Clock
  readonly secondFactor: SecondFactorRule
}

/** `app.apiKeys`, `app.keyTurns` and `app.keyUses`; pending uses are flushed when the app closes. */
export default fp<ApiKeyOptions>(
  async (app, { clock, secondFactor }) => {
    const uses = new LastUses(app.db, app.log)
    const verifier = new KeyVerifier({
      find: ({ hash }) => findKeyPrincipal(app.db, Buffer.from(hash, 'base64url')),
      assertLive: (user) => app.revocations.assertLive(user),
      clock,
      onUse: (keyId, at) => uses.note(keyId, at),
      ...(secondFactor === 'all' ? { rememberMs: rememberedWithFactorMs } : {}),
    })
    app.revocations.onKeyEnded((keyId) => verifier.forget(keyId))
    app.decorate('apiKeys', verifier)
    app.decorate('keyUses', uses)
    app.decorate('keyTurns', new Turns(turnTimeoutMs))
    app.addHook('onClose', () => uses.flush())
  },
  { name: 'latchkey-api-keys', fastify: '5.x', dependencies: ['latchkey-database', 'latchkey-sessions'] },
)
