import { Client, clientConfig, streamOf } from './client.ts'

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
const heartbeat = 5_000

/**
 * LISTEN on a connection of its own, reconnected with a growing delay: a pooled connection would be handed on,
 * and its subscription with it.
 */
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
        // Without a goodbye, which would wait for an answer: nothing is in flight that could be lost.
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
          // A connection that has gone silent looks like one on which nothing is said.
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
