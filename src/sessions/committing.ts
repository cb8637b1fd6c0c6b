import { insertEvents, logEvents, type SecurityEvent, type SecurityLog } from '../audit.ts'
import type { Db, Trx } from '../db/schema.ts'
import type { Revocation, Revocations } from './revocations.ts'

export interface CommitDeps {
  readonly db: Db
  readonly revocations: Revocations
  readonly log: SecurityLog
}

/** What a transaction leaves to be done: written with it, told once it has committed. */
export interface Consequences {
  readonly revoked: Revocation[]
  readonly events: SecurityEvent[]
}

/**
 * Runs a transaction whose revocations this process knows, and whose events are logged, as soon as it has
 * committed and only then.
 */
export async function committing<T>(
  { db, revocations, log }: CommitDeps,
  work: (trx: Trx, consequences: Consequences) => Promise<T>,
): Promise<T> {
  const consequences: Consequences = { revoked: [], events: [] }
  const result = await db.transaction().execute(async (trx) => {
    const done = await work(trx, consequences)
    await insertEvents(trx, consequences.events)
    return done
  })
  revocations.apply(consequences.revoked)
  logEvents(log, consequences.events)
  return result
}
