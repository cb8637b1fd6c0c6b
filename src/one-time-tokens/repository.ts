import { type Selectable, sql } from 'kysely'
import type { Db, OneTimeTokensTable, Trx } from '../db/schema.ts'
import type { UsedToken } from '../tokens/used-token.ts'
import { hashToken, type StoredToken, type TokenPurpose } from './token.ts'

export type OneTimeToken = Selectable<OneTimeTokensTable>

const inSeconds = (seconds: number) => sql<string>`now() + make_interval(secs => ${seconds})`

/** Replaces the user's token of the same purpose. */
export async function insertToken(
  trx: Trx,
  token: StoredToken,
  { userId, email, seconds }: { userId: string; email: string; seconds: number },
): Promise<void> {
  await trx
    .insertInto('one_time_tokens')
    .values({ ...token, email, user_id: userId, expires_at: inSeconds(seconds) })
    .onConflict((conflict) =>
      conflict.constraint('one_time_tokens_newest').doUpdateSet((eb) => ({
        token_hash: eb.ref('excluded.token_hash'),
        salt: eb.ref('excluded.salt'),
        email: eb.ref('excluded.email'),
        expires_at: eb.ref('excluded.expires_at'),
      })),
    )
    .execute()
}

/** Looks a presented token up without using it. */
export async function findToken(
  db: Db,
  token: string,
  purposes: readonly TokenPurpose[],
): Promise<OneTimeToken | undefined> {
  return db
    .selectFrom('one_time_tokens')
    .selectAll()
    .where('token_hash', '=', hashToken(token))
    .where('purpose', 'in', purposes)
    .where('expires_at', '>', sql<string>`now()`)
    .executeTakeFirst()
}

export async function findLiveToken(
  db: Db,
  userId: string,
  purpose: TokenPurpose,
): Promise<OneTimeToken | undefined> {
  return db
    .selectFrom('one_time_tokens')
    .selectAll()
    .where('user_id', '=', userId)
    .where('purpose', '=', purpose)
    .where('expires_at', '>', sql<string>`now()`)
    .executeTakeFirst()
}

/** Uses a token up: of concurrent requests, on any number of instances, one succeeds. */
export async function useToken(
  trx: Trx,
  { token_hash }: OneTimeToken,
): Promise<(OneTimeToken & UsedToken) | undefined> {
  const row = await trx
    .deleteFrom('one_time_tokens')
    .where('token_hash', '=', token_hash)
    .where('expires_at', '>', sql<string>`now()`)
    .returningAll()
    .executeTakeFirst()
  return row as (OneTimeToken & UsedToken) | undefined
}

/** Revokes tokens that a change of password or address makes obsolete. */
export async function deleteTokens(
  trx: Trx,
  userId: string,
  purposes: readonly TokenPurpose[],
): Promise<void> {
  await trx
    .deleteFrom('one_time_tokens')
    .where('user_id', '=', userId)
    .where('purpose', 'in', purposes)
    .execute()
}

/** Keeps the link that undoes a change of address: the attacker who made the change must not be able to delete it. */
export async function deleteAllTokens(trx: Trx, userId: string, presentEmail: string): Promise<void> {
  await trx
    .deleteFrom('one_time_tokens')
    .where('user_id', '=', userId)
    .where((eb) => eb.or([eb('purpose', '!=', 'email_change_undo'), eb('email', '=', presentEmail)]))
    .execute()
}

/**
 * Sets the expiry anew when the mail is sent: time in the outbox must not count.
 * @returns undefined when the token was used or replaced meanwhile
 */
export async function startTokenTime(
  db: Db,
  tokenHash: Uint8Array,
  seconds: number,
): Promise<OneTimeToken | undefined> {
  return db
    .updateTable('one_time_tokens')
    .set({ expires_at: inSeconds(seconds) })
    .where('token_hash', '=', tokenHash)
    .returningAll()
    .executeTakeFirst()
}
