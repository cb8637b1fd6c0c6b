import { createHash } from 'node:crypto'
import type pg from 'pg'
import { isUnprepared } from './errors.ts'

/** More than this service has: bounds the server's memory if texts were ever built dynamically. */
const maxStatements = 200

/** Characters; a longer text inserts many rows and is not repeated. */
const maxTextLength = 2_000

/**
 * A name for each text, derived from it, so that it is the same in every process: behind a pooler, one client may run
 * what another has prepared.
 */
export class StatementNames {
  readonly #names = new Map<string, string>()

  /** @returns undefined for a text that is better not prepared */
  of(text: string): string | undefined {
    const known = this.#names.get(text)
    if (known !== undefined || this.#names.size >= maxStatements || text.length > maxTextLength) return known
    const name = `latchkey_${createHash('sha256').update(text).digest('hex').slice(0, 32)}`
    this.#names.set(text, name)
    return name
  }
}

/**
 * Prepares each statement with parameters on its first use on a connection. When a migration changed its result type,
 * or a pipelined statement before it failed to prepare, the server refuses it before executing it; it is then prepared
 * again under another name.
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
      // The error has aborted the transaction, which src/db/transaction.ts retries.
      if (client.getTransactionStatus() !== 'I') throw error
      return query({ name: `${name}_${generation}`, text, values })
    })
  }
  client.query = prepared as typeof client.query
}
