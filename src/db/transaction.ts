import { setTimeout as delay } from 'node:timers/promises'
import { isConflict } from './errors.ts'
import type { Db, Trx } from './schema.ts'

/** Tries after the first. */
const retries = 3

/** Upper bound of the random delay before the first retry. */
const firstPauseMs = 20

/**
 * Runs a transaction, and retries it when the database rolled it back for a concurrent one (deadlock, serialization).
 * @param work only statements on `trx`, since it may run more than once
 */
export async function inTransaction<T>(db: Db, work: (trx: Trx) => Promise<T>): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (retry === retries || !isConflict(error)) throw error
      // Random, so that two transactions do not collide again.
      await delay(Math.random() * firstPauseMs * 2 ** retry)
    }
  }
}
