import type { PGlite } from '@electric-sql/pglite'
import type { Listen } from './listen.ts'

/** LISTEN in the embedded database, which notifies its own process. Its one connection is never lost. */
export function listenEmbedded(pglite: PGlite): Listen {
  return (channel, { onMessage, onConnect }) => {
    const listening = pglite.listen(channel, onMessage)
    // On a database that has failed there is nothing to hear.
    listening.then(onConnect, () => {})
    return async () => {
      const unlisten = await listening.catch(() => undefined)
      await unlisten?.()
    }
  }
}
