import { createHash } from 'node:crypto'
import type pg from 'pg'
import { isUnprepared } from './errors.ts'

/** Statements that get a name: more than this service has, so that a text that is put together cannot fill the server. */
const most = 200

/** Characters; a longer text is one of many rows and does not come again. */
const longest = 2_000

/**
 * A name for each text, the same on every connection of every process: a pooler that hands connections on may have one
 * run what another prepared, and that must not be another statement.
 */
export class StatementNames {
  readonly #names = new Map<string, string>()

  /** @returns undefined for a text that is better sent as it is */
  of(text: string): string | undefined {
    const known = this.#names.get(text)
    if (known !== undefined || this.#names.size >= most || text.length > longest) return known
    const name = `latchkey_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
    this.#names.set(text, name)
    return name
  }
}

/**
 * Has the server keep a statement with parameters from its first use on a connection: parsed and planned once.
 * Where a migration has changed what a statement gives meanwhile, the server refuses the one that it kept, and it has
 * none for those that were sent behind one that could not be prepared; it is prepared anew then, by another name, and
 * nothing has happened yet.
 */
export function prepareStatements(client: pg.ClientBase, names: StatementNames): void {
  const query = client.query.bind(client) as (...args: unknown[]) => Promise<unknown>
  let generation = 0

  const prepared = (text: unknown, values?: unknown, ...rest: unknown[]) => {
    const isPlain = typeof text === 'string' && Array.isArray(values) && values.length > 0
    const name = isPlain ? names.of(text) : undefined
    if (name === undefined) return query(text, values, ...rest)
    const used = generation
    return query({ name: `${name}_${used}`, text, values }).catch((error: unknown) => {
      if (!isUnprepared(error)) throw error
      if (generation === used) generation++
      // It has undone the transaction; src/db/transaction.ts runs it again.
      if (client.getTransactionStatus() !== 'I') throw error
      return query({ name: `${name}_${generation}`, text, values })
    })
  }
  client.query = prepared as typeof client.query
}
