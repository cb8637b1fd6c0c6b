import { sql } from 'kysely'
import type { Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { CanonicalEmail } from '../users/email.ts'
import type { NoticeKind, RequestKind } from './kinds.ts'
import { mailboxOf } from './mailbox-of.ts'

/** A mailbox's share of an hour: mails that strangers can cause; also notices of one kind, and resets, of an account. */
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
  /** Of its link. */
  readonly tokenHash?: Uint8Array
  readonly ip: string
}

export const anHourAgo = sql<string>`now() - interval '1 hour'`

/** Whether the link of a mail can be used, or will be once the mail has left. */
export const linkIsGood = sql<boolean>`exists (select from one_time_tokens t
  where t.token_hash = mail_outbox.token_hash and (t.expires_at > now() or mail_outbox.state = 'waiting'))`

/**
 * Leaves a request for a mail, unless too many mails wait. Past the mailbox's share of the hour it is `limited`: the
 * worker then decides whether it mails all the same, since strangers can use the share up. It takes the same statements
 * whether anybody has an account under the address or not.
 */
export async function insertRequest(
  trx: Trx,
  { kind, recipient, userId, tokenHash }: MailRequest,
): Promise<'accepted' | 'limited' | 'full'> {
  const mailbox = mailboxOf(recipient)
  // Who asks for the same mailbox waits here: of 50 at once, three pass.
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
            // Whose account sends to many addresses is counted too.
            where.and({ user_id: userId ?? '', kind: 'email_change' }),
          ]),
        )
        .as('recent'),
      // One that the worker has yet to look at, or whose link is good: another would tell nothing new.
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

/**
 * Leaves a mail that tells an account's owner something, if the account was made here and was not told so lately. None
 * goes to an address that nobody has proved: its reader has no account.
 */
export async function insertNotice(
  trx: Trx,
  { kind, userId, recipient, tokenHash, ip }: Notice,
): Promise<void> {
  await trx
    .insertInto('mail_outbox')
    .columns(['kind', 'mail', 'recipient', 'user_id', 'token_hash', 'ip'])
    .expression((eb) =>
      eb
        .selectFrom('users')
        .select((user) => [
          sql.lit(kind).as('kind'),
          sql.lit(kind).as('mail'),
          user.fn.coalesce(user.val(recipient ?? null), 'email').as('recipient'),
          'id',
          sql<Uint8Array | null>`${tokenHash ?? null}::bytea`.as('token_hash'),
          user.val(ip).as('ip'),
        ])
        .where('id', '=', userId)
        .where('issuer', 'is', null)
        .where('email_verified', '=', true)
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

/** Takes back every mail to an account's address, or on its behalf, that has not left. */
export async function dropOwnedMails(trx: Trx, owner: OwnerId): Promise<void> {
  await trx
    .updateTable('mail_outbox')
    .set({ state: 'dropped' })
    .where('user_id', '=', owner)
    .where('state', '=', 'waiting')
    .execute()
}
