import { sql } from 'kysely'
import type { Trx } from '../db/schema.ts'
import type { CanonicalEmail } from '../users/email.ts'
import type { RequestKind } from './kinds.ts'
import { mailboxOf } from './mailbox-of.ts'
import { anHourAgo, hourlyMails, linkIsGood } from './outbox.ts'

/** Bounds the outbox: further requests are refused, so that a flood cannot fill the disk. */
export const maxWaiting = 10_000

export interface MailRequest {
  readonly kind: RequestKind
  readonly recipient: CanonicalEmail
  /** The caller, if logged in. */
  readonly userId?: string
  readonly tokenHash?: Uint8Array
}

/**
 * Inserts a request for a mail, unless the outbox is `full`. Past the mailbox's quota it is `limited`: strangers can use
 * the quota up, so the worker decides whether to send a mail nevertheless. Same statements whether the address has an
 * account or not, against enumeration by timing.
 */
export async function insertRequest(
  trx: Trx,
  { kind, recipient, userId, tokenHash }: MailRequest,
): Promise<'accepted' | 'limited' | 'full'> {
  const mailbox = mailboxOf(recipient)
  // Serializes requests for one mailbox: of 50 concurrent ones, three pass.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`mail to ${mailbox}`}, 0))`.execute(trx)
  const { recent, pending, waiting } = await trx
    .selectNoFrom((eb) => [
      eb
        .selectFrom('mail_outbox')
        .select((count) => count.fn.countAll<number>().as('recent'))
        .where('created_at', '>', anHourAgo)
        .where((where) =>
          where.or([
            where.and({ mailbox, beyond_share: false }),
            // Also one account that sends to many addresses.
            where.and({ user_id: userId ?? '', kind: 'email_change' }),
          ]),
        )
        .as('recent'),
      // Pending: not yet resolved by the worker, or with a valid link.
      eb
        .selectFrom('mail_outbox')
        .select((count) => count.fn.countAll<number>().as('pending'))
        .where('created_at', '>', anHourAgo)
        .where((where) => where.and({ mailbox, recipient, kind }))
        .where((where) => where.or([where('mail', 'is', null), linkIsGood]))
        .as('pending'),
      eb
        .selectFrom(
          eb
            .selectFrom('mail_outbox')
            .select('id')
            .where('state', '=', 'waiting')
            .limit(maxWaiting)
            .as('waiting'),
        )
        .select((count) => count.fn.countAll<number>().as('waiting'))
        .as('waiting'),
    ])
    .executeTakeFirstOrThrow()
  if (Number(waiting) >= maxWaiting) return 'full'
  const limited = Number(recent) >= hourlyMails
  if (limited && (kind === 'email_change' || Number(pending) > 0)) {
    await rewriteOne(trx, mailbox)
    return 'limited'
  }
  const row = { kind, recipient, mailbox, user_id: userId ?? null, token_hash: tokenHash ?? null }
  await trx
    .insertInto('mail_outbox')
    .values({ ...row, beyond_share: limited })
    .execute()
  return limited ? 'limited' : 'accepted'
}

/**
 * Same write as in the accepted case: only addresses with an account reach the quota, and timing must not reveal one.
 * Updates only rows that the worker has resolved, since it holds locks on the others.
 */
async function rewriteOne(trx: Trx, mailbox: string): Promise<void> {
  await trx
    .updateTable('mail_outbox')
    .set((eb) => ({ last_error: eb.ref('last_error') }))
    .where('id', '=', (eb) =>
      eb
        .selectFrom('mail_outbox')
        .select('id')
        .where('mailbox', '=', mailbox)
        .where('created_at', '>', anHourAgo)
        .where('mail', 'is not', null)
        .limit(1),
    )
    .execute()
}
