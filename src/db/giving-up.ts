import type pg from 'pg'
import { streamOf } from './client.ts'

/** Of a statement that would write where nothing can be written. */
const readOnly = '25006'

/**
 * A statement that was not answered leaves its connection waiting: whoever got it next would wait too. Where the
 * network drops packets silently that is every connection there is, so such a one is broken, and the pool makes
 * another. So is one to a server that is not the primary any more: the next may lead to the one that is.
 */
export function breakWhenUseless(client: pg.ClientBase): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
  const watched = (...args: unknown[]) => {
    const answer = query(...args)
    // Absent where the caller gave a callback; Kysely and this file do not.
    answer?.catch((error: pg.DatabaseError) => {
      if (error.message === 'Query read timeout' || error.code === readOnly) streamOf(client).destroy()
    })
    return answer
  }
  client.query = watched as typeof client.query
}

/** Lets connections say goodbye, but not wait for an answer that may never come: a stop must not hang on the network. */
export function boundEnd(pool: pg.Pool, goodbye: number): void {
  const clients = new Set<pg.PoolClient>()
  pool.on('connect', (client) => clients.add(client))
  pool.on('remove', (client) => clients.delete(client))
  const end = pool.end.bind(pool) as () => Promise<void>
  pool.end = async () => {
    const cut = setTimeout(() => {
      for (const client of clients) streamOf(client).destroy()
    }, goodbye)
    await end().finally(() => clearTimeout(cut))
  }
}
