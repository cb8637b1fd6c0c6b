import { sql } from 'kysely'
import type { CanonicalEmail } from '../accounts/email.ts'
import type { Trx } from '../db/schema.ts'
import type { NoticeKind, RequestKind } from './kinds.ts'
import { mailboxOf } from './mailbox-of.ts'

/** Mails in an hour that strangers can cause to one mailbox, and mails of one kind that tell an account's owner. */
export const hourlyMails = 3

/** Mails that may wait at a time: past it requests are refused, so that a flood fills no disk. */
export const maxWaiting = 10_000

export interface MailRequest {
  readonly kind: RequestKind
  readonly recipient: CanonicalEmail
  /** Who asks, where that is known. */
  readonly userId?: string
  readonly tokenHash?: Uint8Array
}

export interface Notice {
  readonly kind: NoticeKind
  readonly userId: string
  /** Where the account's present address is not the one to tell. */
  readonly recipient?: string
  readonly ip: string
}

const anHourAgo = sql<string>`now() - interval '1 hour'`

/**
 * Leaves a request for a mail, unless the mailbox has had its share of the hour or too many mails wait. It takes the
 * same statements whether anybody has an account under the address or not.
 */
export async function insertRequest(
  trx: Trx,
  { kind, recipient, userId, tokenHash }: MailRequest,
): Promise<'accepted' | 'limited' | 'full'> {
  const mailbox = mailboxOf(recipient)
  // Who asks for the same mailbox waits here: of 50 at once, three pass.
  await sql`select pg_advisory_xact_lock(hashtextextended(${`mail to ${mailbox}`}, 0))`.execute(trx)
  const { recent, waiting } = await trx
    .selectNoFrom((eb) => [
      eb
        .selectFrom('mail_outbox')
        .select((count) => count.fn.countAll<number>().as('recent'))
        .where('created_at', '>', anHourAgo)
        .where((where) =>
          where.or([
            where('mailbox', '=', mailbox),
            // Whose account sends to many addresses is counted too.
            where.and({ user_id: userId ?? '', kind: 'email_change' }),
          ]),
        )
        .as('recent'),
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
  if (Number(recent) >= hourlyMails) {
    await rewriteOne(trx, mailbox)
    return 'limited'
  }
  await trx
    .insertInto('mail_outbox')
    .values({ kind, recipient, mailbox, user_id: userId ?? null, token_hash: tokenHash ?? null })
    .execute()
  return 'accepted'
}

/**
 * Writes as much as a request that is accepted: only where there is an account do mails use up a share, and the time of
 * an answer must not tell. Of those whose address has been looked up, since that may wait for who asks here.
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

/** Leaves a mail that tells an account's owner something, if the account was made here and was not told so lately. */
export async function insertNotice(trx: Trx, { kind, userId, recipient, ip }: Notice): Promise<void> {
  await trx
    .insertInto('mail_outbox')
    .columns(['kind', 'mail', 'recipient', 'user_id', 'ip'])
    .expression((eb) =>
      eb
        .selectFrom('users')
        .select((user) => [
          sql.lit(kind).as('kind'),
          sql.lit(kind).as('mail'),
          user.fn.coalesce(user.val(recipient ?? null), 'email').as('recipient'),
          'id',
          user.val(ip).as('ip'),
        ])
        .where('id', '=', userId)
        .where('issuer', 'is', null)
        .where(
          (recent) =>
            recent
              .selectFrom('mail_outbox')
              .select((count) => count.fn.countAll<number>().as('told'))
              .where('user_id', '=', userId)
              .where('kind', '=', kind)
              .where('created_at', '>', anHourAgo),
          '<',
          hourlyMails,
        ),
    )
    .execute()
}
