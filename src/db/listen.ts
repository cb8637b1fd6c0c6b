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

/**
 * LISTEN on a dedicated connection for all channels, reconnected with exponential backoff: the subscription of a pooled
 * one would leak.
 */
export function listenOn(url: string): Listen {
  const listeners = new Map<Listener, string>()
  /** The client, once it is connected. */
  let open: Client | undefined
  let client: Client | undefined
  let retry: NodeJS.Timeout | undefined
  let delay = firstDelay

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
      if (lost || client !== connecting) return
      lost = true
      open = undefined
      // No clean close, which would wait for a reply: nothing is in flight.
      streamOf(connecting).destroy()
      retry = setTimeout(connect, delay)
      delay = Math.min(delay * 2, longestDelay)
    }
    connecting.on('error', again)
    connecting.on('end', again)
    connecting.on('notification', ({ channel, payload }) => {
      for (const [listener, name] of listeners) if (name === channel) listener.onMessage(payload ?? '')
    })
    connecting
      .connect()
      .then(() => {
        open = connecting
        // Otherwise a dead connection looks like an idle one.
        beat = setInterval(() => connecting.query('select 1').catch(again), heartbeat).unref()
        return Promise.all([...listeners.keys()].map((listener) => listen(connecting, listener)))
      })
      .then(() => {
        delay = firstDelay
      })
      .catch(again)
  }

  async function listen(connected: Client, listener: Listener): Promise<void> {
    await connected.query(`listen ${connected.escapeIdentifier(listeners.get(listener) ?? '')}`)
    if (listeners.has(listener)) listener.onConnect()
  }

  return (channel, { onMessage, onConnect }) => {
    const listener = { onMessage, onConnect }
    listeners.set(listener, channel)
    const connected = open
    // An error ends the connection, and the next one listens on it.
    if (connected) listen(connected, listener).catch(() => streamOf(connected).destroy())
    else if (!client) connect()
    return async () => {
      listeners.delete(listener)
      if (listeners.size > 0) return
      clearTimeout(retry)
      const last = client
      client = undefined
      open = undefined
      if (last) streamOf(last).destroy()
    }
  }
}
