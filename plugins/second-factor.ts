import fp from 'fastify-plugin'
import { mfaTokenKeys } from '../src/second-factor/mfa-token.ts'
import type { SecondFactorPolicy } from '../src/second-factor/policy.ts'
import { resealFactors } from '../src/second-factor/resealing.ts'
import { factorKeys } from '../src/second-factor/sealed-secret.ts'

declare module 'fastify' {
  interface FastifyInstance {
    readonly secondFactor: SecondFactorPolicy
  }
}

interface SecondFactorOptions {
  readonly secret: string
  readonly previousSecret: string | undefined
  /** The name by which authenticator apps list this service. */
  readonly issuer: string
}

/** Between two runs: instances that still write under the previous secret may run beside this one. */
const resealEveryMs = 600_000

/** `app.secondFactor`; during a rotation of SECRET_KEY, factors are encrypted under the new secret. */
export default fp<SecondFactorOptions>(
  async (app, { secret, previousSecret, issuer }) => {
    const keys = factorKeys(secret, previousSecret)
    app.decorate('secondFactor', {
      factorKeys: keys,
      tokenKeys: mfaTokenKeys(secret, previousSecret),
      issuer,
    })
    if (previousSecret === undefined) return

    async function resealAll(): Promise<void> {
      try {
        const lost = await resealFactors(app.db, keys)
        if (lost > 0) app.log.error({ lost }, 'second factors were encrypted under neither SECRET_KEY')
      } catch (err) {
        app.log.warn({ err }, 'second factors could not be encrypted anew; trying again later')
      }
    }
    let timer: NodeJS.Timeout | undefined
    app.onceDatabaseIsThere(async () => {
      await resealAll()
      timer = setInterval(resealAll, resealEveryMs).unref()
    })
    app.addHook('onClose', async () => clearInterval(timer))
  },
  { name: 'latchkey-second-factor', fastify: '5.x', dependencies: ['latchkey-database'] },
)
