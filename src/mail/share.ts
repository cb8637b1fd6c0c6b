import { sql } from 'kysely'
import type { Trx } from '../db/schema.ts'
import type { LockedAccount } from '../users/without-owner.ts'
import type { LinkMailName, MailName } from './kinds.ts'
import type { TokenPolicy } from './mail.ts'
import { isPlain } from './mailbox-of.ts'
import { anHourAgo, hourlyMails, linkIsGood } from './outbox.ts'
import { isLinkMail, purposes, secondsOf } from './purposes.ts'
import type { OutboxRow } from './queue.ts'

/**
 * Whether a mail may be sent; called with the account locked. Strangers can use up the mailbox's quota, so
 * - the owner of a verified address has a quota of resets, and always one reset when no link is valid;
 * - an unverified address without a tag, of which a mailbox has one, gets one link at a time past the quota.
 */
export async function mayLeave(
  trx: Trx,
  policy: TokenPolicy,
  row: OutboxRow,
  account: LockedAccount,
  mail: MailName,
): Promise<boolean> {
  if (isOwnReset(row, account))
    return (await ownResets(trx, account.id)) < hourlyMails || !(await hasLink(trx, account.id))
  if (!row.beyond_share) return true
  if (account.email_verified || !isLinkMail(mail) || !isPlain(row.recipient)) return false
  return !(await wasMailed(trx, row, mail, secondsOf(mail, policy)))
}

/** A reset of a verified account does not use the mailbox's quota. */
export function isOwnReset({ kind }: OutboxRow, { email_verified }: LockedAccount): boolean {
  return kind === 'forgot' && email_verified
}

async function ownResets(trx: Trx, userId: string): Promise<number> {
  const { count } = await trx
    .selectFrom('mail_outbox')
    .select((eb) => eb.fn.countAll<number>().as('count'))
    .where('user_id', '=', userId)
    .where('created_at', '>', anHourAgo)
    .where('mail', '=', 'reset_password')
    .executeTakeFirstOrThrow()
  return Number(count)
}

async function hasLink(trx: Trx, userId: string): Promise<boolean> {
  const good = await trx
    .selectFrom('mail_outbox')
    .select('id')
    .where('user_id', '=', userId)
    .where('mail', '=', 'reset_password')
    .where(linkIsGood)
    .limit(1)
    .executeTakeFirst()
  return good !== undefined
}

/** By address, not by account: otherwise an attacker could sign up, change the address, and repeat. */
async function wasMailed(trx: Trx, row: OutboxRow, mail: LinkMailName, seconds: number): Promise<boolean> {
  const alike = (Object.keys(purposes) as LinkMailName[]).filter(
    (other) => purposes[other] === purposes[mail],
  )
  const earlier = await trx
    .selectFrom('mail_outbox')
    .select('id')
    .where('mailbox', '=', row.mailbox)
    .where('recipient', '=', row.recipient)
    .where('mail', 'in', alike)
    .where('created_at', '>', sql<string>`now() - make_interval(secs => ${Math.min(seconds, 3_600)})`)
    .limit(1)
    .executeTakeFirst()
  return earlier !== undefined
}
