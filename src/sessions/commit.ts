import { insertEvents, logEvents, type SecurityEvent, type SecurityLog } from '../audit.ts'
import type { Db, Trx } from '../db/schema.ts'
import { inTransaction } from '../db/transaction.ts'
import type { Mail } from '../mail/mail.ts'
import { insertNotice, type Notice } from '../mail/notices.ts'
import { insertRequest, type MailRequest } from '../mail/requests.ts'
import type { Revocation, Revocations } from './revocations.ts'

export interface CommitDeps {
  readonly db: Db
  readonly revocations: Revocations
  readonly log: SecurityLog
  readonly mail: Mail
}

/** Side effects of a transaction: stored with it, applied and logged after its commit. */
export interface Effects {
  readonly revoked: Revocation[]
  readonly events: SecurityEvent[]
  readonly notices: Notice[]
  /** Queues a mail request; the result says whether it was accepted. */
  request(mail: MailRequest): ReturnType<typeof insertRequest>
}

/** Runs a transaction; applies its revocations, logs its events and wakes the mail worker only after the commit. */
export async function commit<T>(
  { db, revocations, log, mail }: CommitDeps,
  work: (trx: Trx, effects: Effects) => Promise<T>,
): Promise<T> {
  const { result, revoked, events, mailed } = await inTransaction(db, async (trx) => {
    const revoked: Revocation[] = []
    const events: SecurityEvent[] = []
    const notices: Notice[] = []
    let requested = false
    const request = (wanted: MailRequest) => {
      requested = true
      return insertRequest(trx, wanted)
    }
    const result = await work(trx, { revoked, events, notices, request })
    await insertEvents(trx, events)
    if (mail.available) for (const notice of notices) await insertNotice(trx, notice)
    return { result, revoked, events, mailed: requested || notices.length > 0 }
  })
  revocations.apply(revoked)
  logEvents(log, events)
  if (mailed) mail.wake()
  return result
}
