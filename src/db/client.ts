import pg from 'pg'
import { pinnedTls } from './postgres-url.ts'
import { parsers } from './types.ts'

type Startup = Record<string, string>

const driver = pg.Client.prototype as unknown as { getStartupConf(this: pg.Client): Startup }

/**
 * A connection that reads times whatever the server's, the database's and the role's settings are. In the startup
 * message, since it outranks them, and since poolers pass exactly these on: a `set` would stay behind on the pooler's
 * connection.
 */
export class Client extends pg.Client {
  getStartupConf(): Startup {
    return { ...driver.getStartupConf.call(this), DateStyle: 'ISO', TimeZone: 'UTC' }
  }
}

/** What every connection to PostgreSQL has. */
export function clientConfig(url: string, connectionTimeoutMillis: number) {
  return {
    connectionString: pinnedTls(url),
    application_name: 'latchkey',
    connectionTimeoutMillis,
    keepAlive: true,
    types: { getTypeParser },
  }
}

/** Runs `work` on a connection of its own, which is closed after it, and cut when the signal aborts. */
export async function withClient<T>(
  config: pg.ClientConfig,
  signal: AbortSignal | undefined,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(config)
  const cut = () => streamOf(client).destroy()
  // The statement in flight rejects with it.
  client.on('error', () => {})
  signal?.throwIfAborted()
  signal?.addEventListener('abort', cut, { once: true })
  try {
    await client.connect()
    return await work(client)
  } finally {
    signal?.removeEventListener('abort', cut)
    // Without waiting for the goodbye: nothing is in flight any more.
    client.end().catch(() => {})
  }
}

// biome-ignore lint/suspicious/noExplicitAny: pg's own type for a value parser
function getTypeParser(oid: number, format?: any): any {
  return (format !== 'binary' && parsers[oid]) || pg.types.getTypeParser(oid, format)
}

interface Stream {
  destroy(): void
  cork(): void
  uncork(): void
}

/** The connection's socket, of which pg's types do not speak. */
export function streamOf(client: pg.ClientBase): Stream {
  return (client as unknown as { connection: { stream: Stream } }).connection.stream
}
