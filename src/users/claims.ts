import { sql } from 'kysely'
import type { Db, Trx } from '../db/schema.ts'
import type { CanonicalEmail } from './email.ts'

/** Columns for a statement on `users`. */
export const isWaiting = sql<boolean>`exists (
  select from account_claims c where c.user_id = users.id and c.waiting)`.as('waiting')

export const isContested = sql<boolean>`exists (
  select from account_claims c where c.user_id = users.id and c.contested)`.as('contested')

/** Null for a contested account that was never used: only its mailbox can decide whose password counts. */
export const openingHash = sql<string | null>`case when exists (
  select from account_claims c where c.user_id = users.id and c.waiting and c.contested)
  then null else password_hash end`.as('password_hash')

/**
 * Records that another party signs up with the address of an unverified account. The account itself does not change,
 * since the request is unauthenticated: the record counts once the mailbox decides.
 */
export async function contestUnverifiedAccount(trx: Trx, email: CanonicalEmail): Promise<void> {
  await trx
    .insertInto('account_claims')
    .columns(['user_id', 'contested'])
    .expression((eb) =>
      eb
        .selectFrom('users')
        .select(['id', eb.lit(true).as('contested')])
        .where('email', '=', email)
        .where('issuer', 'is', null)
        .where('email_verified', '=', false),
    )
    .onConflict((conflict) =>
      conflict.column('user_id').doUpdateSet((eb) => ({ contested: eb.ref('excluded.contested') })),
    )
    .execute()
}

/**
 * Whether an account may have been pre-hijacked: asked when its address is proved by setting a password. Nobody has
 * proved the address before, and somebody has chosen a password. An imported account without one is safe: nobody could
 * have logged in.
 */
export function mayBePreHijacked(account: {
  readonly email_verified: boolean
  readonly password_hash: string | null
  readonly waiting: boolean
}): boolean {
  return !account.email_verified && (account.password_hash !== null || account.waiting)
}

/** From its first login on, the account is in use. */
export async function endWaiting(trx: Trx, userId: string): Promise<void> {
  await trx.updateTable('account_claims').set({ waiting: false }).where('user_id', '=', userId).execute()
}

/** The mailbox has decided. */
export async function deleteClaim(trx: Trx, userId: string): Promise<void> {
  await trx.deleteFrom('account_claims').where('user_id', '=', userId).execute()
}

/** Accounts deleted per statement. */
const batchSize = 1_000

/**
 * Deletes accounts that have been pending for `days` without ever having a session, unless a link is still valid or a
 * mail is still queued.
 * @returns how many
 */
export async function deleteUnverified(db: Db, days: number): Promise<number> {
  let deleted = 0
  for (let last = batchSize; last === batchSize; deleted += last) {
    const { rows } = await sql`
      with due as (
        select id from users
        where id in (select user_id from account_claims where waiting)
          and not email_verified
          and banned_at is null
          and created_at < now() - make_interval(days => ${days})
          and not exists (select from sessions s where s.user_id = users.id)
          and not exists (select from one_time_tokens t where t.user_id = users.id and t.expires_at > now())
          and not exists (select from mail_outbox m where m.user_id = users.id and m.state = 'waiting')
        limit ${batchSize} for update skip locked),
      gone as (delete from users where id in (select id from due) returning id)
      insert into security_events (event, user_id) select 'account_deleted', id from gone returning id`.execute(
      db,
    )
    last = rows.length
  }
  return deleted
}
