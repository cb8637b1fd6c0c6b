import { sql } from 'kysely'
import type { Trx } from '../db/schema.ts'
import type { NoticeKind } from './kinds.ts'
import { anHourAgo, hourlyMails } from './outbox.ts'

/** The hourly quota of a notice: of new API keys, one for each that an account can have. */
const hourlyNotices = (kind: NoticeKind) => (kind === 'api_key_created' ? 20 : hourlyMails)

export interface Notice {
  readonly kind: NoticeKind
  readonly userId: string
  /** Default: the account's present address. */
  readonly recipient?: string
  /** Of its link. */
  readonly tokenHash?: Uint8Array
  readonly ip: string
}

/**
 * Inserts a notice to the owner of a local account, within the hourly quota of its kind. Never to an unverified
 * address, whose reader may not be the owner.
 */
export async function insertNotice(
  trx: Trx,
  { kind, userId, recipient, tokenHash, ip }: Notice,
): Promise<void> {
  await trx
    .with(
      (name) => name('recent').materialized(),
      (qb) =>
        qb
          .selectFrom('mail_outbox')
          .select((eb) => eb.fn.countAll<number>().as('mails'))
          .where('user_id', '=', userId)
          .where('kind', '=', kind)
          .where('created_at', '>', anHourAgo),
    )
    .insertInto('mail_outbox')
    .columns(['kind', 'mail', 'recipient', 'user_id', 'token_hash', 'ip'])
    .expression((eb) =>
      eb
        .selectFrom(['users', 'recent'])
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
        .where('recent.mails', '<', hourlyNotices(kind)),
    )
    .execute()
}
