import { sql } from 'kysely'
import type { Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'

/** Hourly quota of a mailbox for mails that strangers can cause; also of an account's resets, and notices of a kind. */
export const hourlyMails = 3

export const anHourAgo = sql<string>`now() - interval '1 hour'`

/** Whether the link of a mail is valid, or will be once the mail is sent. */
export const linkIsGood = sql<boolean>`exists (select from one_time_tokens t
  where t.token_hash = mail_outbox.token_hash and (t.expires_at > now() or mail_outbox.state = 'waiting'))`

/** Drops every mail of the account that is not yet sent. */
export async function dropOwnedMails(trx: Trx, owner: OwnerId): Promise<void> {
  await trx
    .updateTable('mail_outbox')
    .set({ state: 'dropped' })
    .where('user_id', '=', owner)
    .where('state', '=', 'waiting')
    .execute()
}
