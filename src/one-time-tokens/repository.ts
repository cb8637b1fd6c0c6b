import { type Selectable, sql } from 'kysely'
import type { Db, OneTimeTokensTable, Trx } from '../db/schema.ts'
import type { UsedToken } from '../tokens/used-token.ts'
import { hashToken, type StoredToken, type TokenPurpose } from './token.ts'

export type OneTimeToken = Selectable<OneTimeTokensTable>

const inSeconds = (seconds: number) => sql<string>`now() + make_interval(secs => ${seconds})`

/** Stores a token; the one that the user had for the purpose is gone. */
export async function insertToken(
  trx: Trx,
  token: StoredToken,
  { userId, email, seconds }: { userId: string; email: string; seconds: number },
): Promise<void> {
  const row = { ...token, email, expires_at: inSeconds(seconds) }
  await trx
    .insertInto('one_time_tokens')
    .values({ ...row, user_id: userId })
    .onConflict((conflict) => conflict.constraint('one_time_tokens_newest').doUpdateSet(row))
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

/** The token that a user has for a purpose, if it can still be used. */
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

/** Uses a token up: of any number that try at once, on any number of instances, one gets it. */
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

/** Takes back what a user was mailed: of no use once the password or the address is another. */
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

/**
 * Takes back all of it, but for the link that gives the account the address before: whoever has changed that must not
 * be rid of the link.
 */
export async function deleteAllTokens(trx: Trx, userId: string, presentEmail: string): Promise<void> {
  await trx
    .deleteFrom('one_time_tokens')
    .where('user_id', '=', userId)
    .where((eb) => eb.or([eb('purpose', '!=', 'email_change_undo'), eb('email', '=', presentEmail)]))
    .execute()
}

/**
 * Starts a token's time, since its mail leaves now: waiting for a mail server must not use it up.
 * @returns undefined when it was used or replaced meanwhile
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
