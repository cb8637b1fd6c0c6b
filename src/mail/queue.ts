import { type Selectable, sql } from 'kysely'
import type { Db, MailOutboxTable, Trx } from '../db/schema.ts'
import type { MailName } from './kinds.ts'

export type OutboxRow = Selectable<MailOutboxTable>

/**
 * Seconds that a mail belongs to the worker that took it. Longer than a delivery may take, so that two instances never
 * send one mail in normal working; after a crash, how long it waits for another worker.
 */
export const leaseSeconds = 120

/** Hours after which a mail that could not be sent is given up. */
export const patienceHours = 24

const inSeconds = (seconds: number) => sql<string>`now() + make_interval(secs => ${seconds})`

/** Takes mails that are due, oldest first: no other worker gets them for {@link leaseSeconds}. */
export async function claimMails(db: Db, most: number): Promise<OutboxRow[]> {
  const rows = await db
    .with(
      (name) => name('due').materialized(),
      (qb) =>
        qb
          .selectFrom('mail_outbox')
          .select('id')
          .where('state', '=', 'waiting')
          .where('next_attempt_at', '<=', sql<string>`now()`)
          .orderBy('next_attempt_at')
          .orderBy('id')
          .limit(most)
          .forUpdate()
          .skipLocked(),
    )
    .updateTable('mail_outbox')
    .from('due')
    .set((eb) => ({ attempts: eb('attempts', '+', 1), next_attempt_at: inSeconds(leaseSeconds) }))
    .whereRef('mail_outbox.id', '=', 'due.id')
    .returningAll('mail_outbox')
    .execute()
  return rows.sort((one, other) => one.id - other.id)
}

/** What a request turned out to be. */
export interface Resolved {
  readonly mail: MailName
  readonly userId: string
  readonly tokenHash: Uint8Array | null
  /** It takes nothing of the mailbox's share. */
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

/** Removes a request that turned out to be none: it mails nothing, so it counts for nothing. */
export async function discard(trx: Trx, id: number): Promise<void> {
  await trx.deleteFrom('mail_outbox').where('id', '=', id).execute()
}

/** `dropped` is a mail that nobody is to get: its link is of no use any more. */
export async function finish(db: Db, id: number, state: 'sent' | 'dropped'): Promise<void> {
  await db.updateTable('mail_outbox').set({ state, last_error: null }).where('id', '=', id).execute()
}

/**
 * Puts a mail off, or gives it up once it has waited for {@link patienceHours}.
 * @returns whether it was given up
 */
export async function postpone(
  db: Db,
  id: number,
  { seconds, error, giveUp }: { seconds: number; error: string; giveUp: boolean },
): Promise<boolean> {
  const { state } = await db
    .updateTable('mail_outbox')
    .set({
      last_error: error,
      next_attempt_at: inSeconds(seconds),
      state: sql<'waiting' | 'failed'>`case
        when ${giveUp} or created_at < now() - make_interval(hours => ${patienceHours}) then 'failed'
        else 'waiting' end`,
    })
    .where('id', '=', id)
    .returning('state')
    .executeTakeFirstOrThrow()
  return state === 'failed'
}
