import { setTimeout as delay } from 'node:timers/promises'
import { isConflict } from './errors.ts'
import type { Db, Trx } from './schema.ts'

/** Tries after the first. */
const retries = 3

/** Milliseconds, at the most, before the first of them. */
const firstPause = 20

/**
 * Runs a transaction, and again when the database has undone it in favour of another one: nothing of it has happened
 * then, and the next try most likely meets nobody.
 * @param work only statements on `trx`, since it may run more than once
 */
export async function inTransaction<T>(db: Db, work: (trx: Trx) => Promise<T>): Promise<T> {
  for (let retry = 0; ; retry++) {
    try {
      return await db.transaction().execute(work)
    } catch (error) {
      if (retry === retries || !isConflict(error)) throw error
      // Two that wait for the same time would meet again.
      await delay(Math.random() * firstPause * 2 ** retry)
    }
  }
}
