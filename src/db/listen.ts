import pg from 'pg'

export interface Listener {
  /** Called with each message. */
  readonly onMessage: (payload: string) => void
  /** Called when listening has begun, and again after each reconnect: what was sent in between is lost. */
  readonly onConnect: () => void
}

/** Listens on a channel until the function that it gives is called. */
export type Listen = (channel: string, listener: Listener) => () => Promise<void>

const firstDelay = 100
const longestDelay = 5_000

/**
 * LISTEN on a connection of its own, reconnected with a growing delay: a pooled connection would be handed on,
 * and its subscription with it.
 */
export function listenOn(url: string): Listen {
  return (channel, { onMessage, onConnect }) => {
    let client: pg.Client | undefined
    let retry: NodeJS.Timeout | undefined
    let delay = firstDelay
    let closed = false

    function connect(): void {
      const connecting = new pg.Client({
        connectionString: url,
        application_name: 'latchkey listener',
        connectionTimeoutMillis: 5_000,
        keepAlive: true,
      })
      client = connecting
      let lost = false
      const again = () => {
        if (lost || closed) return
        lost = true
        connecting.end().catch(() => {})
        retry = setTimeout(connect, delay)
        delay = Math.min(delay * 2, longestDelay)
      }
      connecting.on('error', again)
      connecting.on('end', again)
      connecting.on('notification', ({ payload }) => onMessage(payload ?? ''))
      connecting
        .connect()
        .then(() => connecting.query(`listen ${connecting.escapeIdentifier(channel)}`))
        .then(() => {
          delay = firstDelay
          onConnect()
        })
        .catch(again)
    }

    connect()
    return async () => {
      closed = true
      clearTimeout(retry)
      await client?.end().catch(() => {})
    }
  }
}
