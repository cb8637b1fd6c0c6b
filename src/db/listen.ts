import { Client, clientConfig, streamOf } from './client.ts'

export interface Listener {
  /** Called with each message. */
  readonly onMessage: (payload: string) => void
  /** Called when listening has begun, and again after each reconnect: messages sent in between are lost. */
  readonly onConnect: () => void
}

/** Listens on a channel until the returned function is called. */
export type Listen = (channel: string, listener: Listener) => () => Promise<void>

const firstDelay = 100
const longestDelay = 5_000
const heartbeat = 5_000

/** LISTEN on a dedicated connection, reconnected with exponential backoff: the subscription of a pooled one would leak. */
export function listenOn(url: string): Listen {
  return (channel, { onMessage, onConnect }) => {
    let client: Client | undefined
    let retry: NodeJS.Timeout | undefined
    let delay = firstDelay
    let closed = false

    function connect(): void {
      const connecting = new Client({
        ...clientConfig(url, 5_000),
        application_name: 'latchkey listener',
        query_timeout: heartbeat,
      })
      client = connecting
      let lost = false
      let beat: NodeJS.Timeout | undefined
      const again = () => {
        clearInterval(beat)
        if (lost || closed) return
        lost = true
        // No clean close, which would wait for a reply: nothing is in flight.
        streamOf(connecting).destroy()
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
          // Otherwise a dead connection looks like an idle one.
          beat = setInterval(() => connecting.query('select 1').catch(again), heartbeat).unref()
          onConnect()
        })
        .catch(again)
    }

    connect()
    return async () => {
      closed = true
      clearTimeout(retry)
      if (client) streamOf(client).destroy()
    }
  }
}
