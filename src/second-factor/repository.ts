import { type Selectable, sql } from 'kysely'
import type { Db, TotpFactorsTable, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { SealedSecret } from './sealed-secret.ts'

export type Factor = Selectable<TotpFactorsTable>

/** A column for a query on `users`: the id of the account's confirmed factor. */
export const confirmedFactor = sql<string | null>`(
  select f.id from totp_factors f where f.user_id = users.id and f.confirmed_at is not null)`.as(
  'second_factor',
)

/** The factor of an account, confirmed or not. */
export async function findFactor(db: Db, userId: string): Promise<Factor | undefined> {
  return db.selectFrom('totp_factors').selectAll().where('user_id', '=', userId).executeTakeFirst()
}

/** Whether an account has a confirmed factor. */
export async function isEnrolled(db: Db, userId: string): Promise<boolean> {
  const row = await db
    .selectFrom('totp_factors')
    .select('id')
    .where('user_id', '=', userId)
    .where('confirmed_at', 'is not', null)
    .executeTakeFirst()
  return row !== undefined
}

/** The owner's second factor, as the owner sees it. */
export async function findOwnedState(
  db: Db,
  owner: OwnerId,
): Promise<{ confirmed_at: string | null; recovery_codes_left: number }> {
  return db
    .selectNoFrom((eb) => [
      eb.selectFrom('totp_factors').select('confirmed_at').where('user_id', '=', owner).as('confirmed_at'),
      eb.fn
        .coalesce(
          eb
            .selectFrom('recovery_codes')
            .select((count) => count.fn.countAll<number>().as('count'))
            .where('user_id', '=', owner),
          sql<number>`0`,
        )
        .as('recovery_codes_left'),
    ])
    .executeTakeFirstOrThrow()
}

/** Stores a setup in place of an earlier one. @returns false when a factor is confirmed, which no setup replaces */
export async function putOwnedSetup(db: Db, owner: OwnerId, sealed: SealedSecret): Promise<boolean> {
  const row = await db
    .insertInto('totp_factors')
    .values({ user_id: owner, ...sealed })
    .onConflict((conflict) =>
      conflict
        .column('user_id')
        .doUpdateSet((eb) => ({
          ...sealed,
          // The defaults of the row that conflicts.
          id: eb.ref('excluded.id'),
          created_at: eb.ref('excluded.created_at'),
        }))
        .where('totp_factors.confirmed_at', 'is', null),
    )
    .returning('id')
    .executeTakeFirst()
  return row !== undefined
}

/** Confirms a setup by the step of its first code. @returns false when another request has replaced or confirmed it */
export async function confirmOwnedFactor(
  trx: Trx,
  owner: OwnerId,
  { id, step }: { readonly id: string; readonly step: number },
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('totp_factors')
    .set({ confirmed_at: sql<string>`now()`, last_step: step })
    .where('user_id', '=', owner)
    .where('id', '=', id)
    .where('confirmed_at', 'is', null)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Compare-and-set of the last step: of parallel uses of one code, on any number of instances, one succeeds. */
export async function useStep(
  trx: Trx,
  { user_id, id }: Pick<Factor, 'user_id' | 'id'>,
  step: number,
): Promise<boolean> {
  const { numUpdatedRows } = await trx
    .updateTable('totp_factors')
    .set({ last_step: step })
    .where('user_id', '=', user_id)
    .where('id', '=', id)
    .where('last_step', '<', step)
    .executeTakeFirst()
  return numUpdatedRows > 0n
}

/** Replaces all recovery codes of the owner. */
export async function replaceOwnedRecoveryCodes(
  trx: Trx,
  owner: OwnerId,
  macs: readonly Uint8Array[],
): Promise<void> {
  await trx.deleteFrom('recovery_codes').where('user_id', '=', owner).execute()
  await trx
    .insertInto('recovery_codes')
    .values(macs.map((mac) => ({ user_id: owner, mac })))
    .execute()
}

/** Uses a recovery code up: of parallel uses, one succeeds. */
export async function useRecoveryCode(trx: Trx, userId: string, mac: Uint8Array): Promise<boolean> {
  const { numDeletedRows } = await trx
    .deleteFrom('recovery_codes')
    .where('user_id', '=', userId)
    .where('mac', '=', mac)
    .executeTakeFirst()
  return numDeletedRows > 0n
}

/** Deletes the owner's factor, or its setup, with all that belongs to it. @returns whether a factor was confirmed */
export async function deleteOwnedFactor(trx: Trx, owner: OwnerId): Promise<boolean> {
  const row = await trx
    .with('codes', (qb) => qb.deleteFrom('recovery_codes').where('user_id', '=', owner))
    .with('tokens', (qb) => qb.deleteFrom('used_mfa_tokens').where('user_id', '=', owner))
    .deleteFrom('totp_factors')
    .where('user_id', '=', owner)
    .returning('confirmed_at')
    .executeTakeFirst()
  return Boolean(row?.confirmed_at)
}

export async function isUsedMfaToken(db: Db, hash: Uint8Array): Promise<boolean> {
  const row = await db
    .selectFrom('used_mfa_tokens')
    .select('user_id')
    .where('token_hash', '=', hash)
    .executeTakeFirst()
  return row !== undefined
}

/** Uses a token up. @returns false when it was used already */
export async function useMfaToken(
  trx: Trx,
  {
    hash,
    userId,
    expiresAt,
  }: { readonly hash: Uint8Array; readonly userId: string; readonly expiresAt: number },
): Promise<boolean> {
  const row = await trx
    .insertInto('used_mfa_tokens')
    .values({ token_hash: hash, user_id: userId, expires_at: sql<string>`to_timestamp(${expiresAt})` })
    .onConflict((conflict) => conflict.column('token_hash').doNothing())
    .returning('user_id')
    .executeTakeFirst()
  return row !== undefined
}

/** Factors that another key than `keyName` sealed, by user. */
export async function listSealedByAnother(
  db: Db,
  { keyName, after, limit }: { readonly keyName: string; readonly after: string; readonly limit: number },
): Promise<Pick<Factor, 'user_id' | 'secret'>[]> {
  return db
    .selectFrom('totp_factors')
    .select(['user_id', 'secret'])
    .where('sealed_by', '!=', keyName)
    .where('user_id', '>', after)
    .orderBy('user_id')
    .limit(limit)
    .execute()
}

/** Compare-and-set, since the factor may have been replaced meanwhile. */
export async function reseal(db: Db, userId: string, from: string, to: SealedSecret): Promise<void> {
  await db
    .updateTable('totp_factors')
    .set(to)
    .where('user_id', '=', userId)
    .where('secret', '=', from)
    .execute()
}
