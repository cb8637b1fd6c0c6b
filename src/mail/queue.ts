import type { Selectable } from 'kysely'
import type { Db, MailOutboxTable, Trx } from '../db/schema.ts'
import { claimDue, countByState, postponeDelivery } from '../outbox/queue.ts'
import type { MailName } from './kinds.ts'

export type OutboxRow = Selectable<MailOutboxTable>

/**
 * How long a worker owns a mail that it claimed. Longer than a delivery may take, so that two instances do not send the
 * same mail; after a crash, the delay until another worker claims it.
 */
export const leaseSeconds = 120

export const giveUpAfterHours = 24

/** How many mails are in each state; sent ones are deleted after an hour. */
export function countMails(db: Db): Promise<Record<OutboxRow['state'], number>> {
  return countByState(db, 'mail_outbox', ['waiting', 'sent', 'dropped', 'failed'])
}

/** Claims due mails, oldest first, for {@link leaseSeconds}. */
export function claimMails(db: Db, limit: number): Promise<OutboxRow[]> {
  return claimDue(db, 'mail_outbox', { limit, leaseSeconds })
}

/** The mail that a request amounts to. */
export interface Resolved {
  readonly mail: MailName
  readonly userId: string
  readonly tokenHash: Uint8Array | null
  /** Excluded from the mailbox's quota. */
  readonly beyondShare?: boolean
}

export async function setResolved(
  trx: Trx,
  id: number,
  { mail, userId, tokenHash, beyondShare }: Resolved,
): Promise<OutboxRow> {
  return trx
    .updateTable('mail_outbox')
    .set({
      mail,
      user_id: userId,
      token_hash: tokenHash,
      ...(beyondShare ? { beyond_share: true } : {}),
    })
    .where('id', '=', id)
    .returningAll()
    .executeTakeFirstOrThrow()
}

/** Deletes a request that causes no mail, so that it does not count. */
export async function discard(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('mail_outbox').where('id', '=', id).execute()
}

/** `dropped`: the link is no longer valid. */
export async function finish(db: Db, id: number, state: 'sent' | 'dropped'): Promise<void> {
  await db.updateTable('mail_outbox').set({ state, last_error: null }).where('id', '=', id).execute()
}

/**
 * Schedules a retry, or gives the mail up after {@link giveUpAfterHours}.
 * @returns whether it was given up
 */
export function postpone(
  db: Db,
  id: number,
  delay: { readonly seconds: number; readonly error: string; readonly giveUp: boolean },
): Promise<boolean> {
  return postponeDelivery(db, 'mail_outbox', id, { ...delay, giveUpAfterHours })
}
