import type pg from 'pg'
import { streamOf } from './client.ts'

/** SQLSTATE read_only_sql_transaction. */
const readOnly = '25006'

/**
 * Destroys a connection after a read timeout, since the next statement on it would time out, too: the network may drop
 * packets silently. Also one to a server that is no longer the primary: a new one may reach the primary.
 */
export function breakWhenUseless(client: pg.ClientBase): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
  const watched = (...args: unknown[]) => {
    const answer = query(...args)
    // Undefined when called with a callback.
    answer?.catch((error: pg.DatabaseError) => {
      if (error.message === 'Query read timeout' || error.code === readOnly) streamOf(client).destroy()
    })
    return answer
  }
  client.query = watched as typeof client.query
}

/** Bounds how long closing the pool takes: a stop must not hang on the network. */
export function boundEnd(pool: pg.Pool, timeoutMs: number): void {
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', (client) => clients.add(client))
  pool.on('remove', (client) => clients.delete(client))
  const end = pool.end.bind(pool) as () => Promise<void>
  pool.end = async () => {
    const cut = setTimeout(() => {
      for (const client of clients) streamOf(client).destroy()
    }, timeoutMs)
    await end().finally(() => clearTimeout(cut))
  }
}
