import fp from 'fastify-plugin'
import { Keyring, type KeyringOptions } from '../src/keys/keyring.ts'
import { reloadInterval, type TokenAlgorithm } from '../src/keys/signing-keys.ts'

declare module 'fastify' {
  interface FastifyInstance {
    /** Null with HS256. */
    readonly signingKeys: Keyring | null
  }
}

interface SigningKeysOptions extends Omit<KeyringOptions, 'db' | 'algorithm' | 'onError'> {
  readonly algorithm: TokenAlgorithm
  readonly reloadEveryMs?: number
}

/** `app.signingKeys`, loaded when the database is ready, and reloaded at intervals until the app closes. */
export default fp<SigningKeysOptions>(
  async (app, { algorithm, reloadEveryMs = reloadInterval * 1000, ...options }) => {
    if (algorithm === 'HS256') {
      app.decorate('signingKeys', null)
      return
    }
    const onError = (error: unknown) =>
      app.log.error({ err: error }, 'signing keys could not be read; the known ones remain in use')
    const keys = new Keyring({ ...options, algorithm, db: app.db, onError })
    app.decorate('signingKeys', keys)

    let timer: NodeJS.Timeout | undefined
    app.onceDatabaseIsThere(async () => {
      await keys.open()
      timer = setInterval(() => keys.reload(), reloadEveryMs).unref()
    })
    app.addHook('onClose', async () => {
      clearInterval(timer)
      await keys.close()
    })
  },
  { name: 'latchkey-signing-keys', fastify: '5.x', dependencies: ['latchkey-database'] },
)
