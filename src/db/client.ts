import pg from 'pg'
import { pinnedTls } from './postgres-url.ts'
import { parsers } from './types.ts'

type Startup = Record<string, string>

const driver = pg.Client.prototype as unknown as { getStartupConf(this: pg.Client): Startup }

/**
 * Fixes how times are sent, in the startup message: it outranks the settings of server, database and role, and poolers
 * forward exactly these. A `set` would leak to the next client of the pooler's connection.
 */
export class Client extends pg.Client {
  getStartupConf(): Startup {
    return { ...driver.getStartupConf.call(this), DateStyle: 'ISO', TimeZone: 'UTC' }
  }
}

/** Options of every connection to PostgreSQL. */
export function clientConfig(url: string, connectionTimeoutMillis: number) {
  return {
    connectionString: pinnedTls(url),
    application_name: 'latchkey',
    connectionTimeoutMillis,
    keepAlive: true,
    types: { getTypeParser },
  }
}

/** Runs `work` on a dedicated connection, which is closed afterwards, and destroyed when the signal aborts. */
export async function withClient<T>(
  config: pg.ClientConfig,
  signal: AbortSignal | undefined,
  work: (client: Client) => Promise<T>,
): Promise<T> {
  const client = new Client(config)
  const cut = () => streamOf(client).destroy()
  // Rejects the statement in flight.
  client.on('error', () => {})
  signal?.throwIfAborted()
  signal?.addEventListener('abort', cut, { once: true })
  try {
    await client.connect()
    return await work(client)
  } finally {
    signal?.removeEventListener('abort', cut)
    // Not awaited: nothing is in flight any more.
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

/** The connection's socket, which pg's types lack. */
export function streamOf(client: pg.ClientBase): Stream {
  return (client as unknown as { connection: { stream: Stream } }).connection.stream
}
