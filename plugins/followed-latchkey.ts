import { setTimeout as delay } from 'node:timers/promises'
import type { FastifyInstance } from 'fastify'
import { IntrospectedKeys } from '../src/api-keys/introspected-keys.ts'
import { KeyVerifier } from '../src/api-keys/verifier.ts'
import type { Clock } from '../src/clock.ts'
import { type RevocationFeedOptions, RevocationReader } from '../src/sessions/revocation-reader.ts'
import { Revocations } from '../src/sessions/revocations.ts'
import type { Principal } from '../src/tokens/owner.ts'

interface Followed {
  /** @throws TokenRefused, Problem service_unavailable */
  assertLive(user: Principal): void
  /** @param assertLive all checks of a verified token */
  apiKeys(assertLive: (user: Principal) => void): KeyVerifier | undefined
}

/** For how long the start waits for the first reading. */
const maxStartMs = 2_000

/**
 * Reads the revocations of a Latchkey while the app runs, holds tokens against them in memory, and looks API keys up.
 * @param latchkeyUrl without it, no token of its users is trusted, and so no key
 * @throws Error for invalid options
 */
export function followLatchkey(
  app: FastifyInstance,
  options: RevocationFeedOptions,
  { latchkeyUrl, clock }: { readonly latchkeyUrl?: string | undefined; readonly clock: Clock },
): Followed {
  const revocations = new Revocations(clock)
  let verifier: KeyVerifier | undefined
  const reader = new RevocationReader({
    url: latchkeyUrl ?? '',
    ...options,
    revocations,
    log: app.log,
    // Of another database, perhaps: a key that is not in it never ends.
    onStartOver: () => verifier?.forgetAll(),
  })
  app.addHook('onReady', async () => {
    await Promise.race([reader.start(), delay(maxStartMs, undefined, { ref: false })])
  })
  app.addHook('preClose', async () => reader.stop())
  return {
    assertLive: (user) => revocations.assertLive(user),
    apiKeys(assertLive) {
      if (latchkeyUrl === undefined) return undefined
      const keys = new IntrospectedKeys({ url: latchkeyUrl, ...options, log: app.log })
      app.addHook('onClose', async () => keys.stop())
      const created = new KeyVerifier({ find: ({ text }) => keys.find(text), assertLive, clock })
      revocations.onKeyEnded((keyId) => created.forget(keyId))
      verifier = created
      return created
    },
  }
}
