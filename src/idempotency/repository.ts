import { type Selectable, sql } from 'kysely'
import type { Db, IdempotencyKeysTable, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import type { KeyedRequest } from './keyed-request.ts'

/** Hours that a key is remembered. */
export const keptHours = 24

/** Keys remembered per user. */
export const maxKeys = 10_000

/** The record of a completed request. */
export type Kept = Pick<Selectable<IdempotencyKeysTable>, 'body_mac' | 'outcome'>

/** Of a row that a new one conflicts with; without now() and parameters, which a distributed database refuses there. */
const hasExpired = sql<boolean>`excluded.created_at - idempotency_keys.created_at >= make_interval(hours => ${sql.lit(keptHours)})`

const keptSince = sql<string>`now() - make_interval(hours => ${keptHours})`

/** Name of a key's advisory lock: the same on every instance, derived from the MAC. */
function lockName(scope: string, { operation, keyMacs: [mac] }: KeyedRequest): string {
  return `idempotency ${scope} ${operation} ${mac?.toString('base64')}`
}

/**
 * Tries to take the lock of the key for this transaction.
 * @param scope the owner of the key
 * @returns false while another transaction holds it
 */
export async function tryLockKey(trx: Trx, scope: string, request: KeyedRequest): Promise<boolean> {
  const { rows } = await sql<{ free: boolean }>`
    select pg_try_advisory_xact_lock(hashtextextended(${lockName(scope, request)}, 0)) as free`.execute(trx)
  return rows[0]?.free === true
}

/** Takes the lock of the key for this transaction; waits for its holder. */
export async function lockKey(trx: Trx, scope: string, request: KeyedRequest): Promise<void> {
  await sql`select pg_advisory_xact_lock(hashtextextended(${lockName(scope, request)}, 0))`.execute(trx)
}

export async function findKept(
  db: Db,
  userId: string,
  { operation, keyMacs }: KeyedRequest,
): Promise<Kept | undefined> {
  return db
    .selectFrom('idempotency_keys')
    .select(['body_mac', 'outcome'])
    .where('user_id', '=', userId)
    .where('operation', '=', operation)
    .where('key_mac', 'in', keyMacs)
    .where('created_at', '>', keptSince)
    .executeTakeFirst()
}

/** Whether the user has {@link maxKeys}. */
export async function hasMaxKeys(db: Db, userId: string): Promise<boolean> {
  const own = db
    .selectFrom('idempotency_keys')
    .select('operation')
    .where('user_id', '=', userId)
    .offset(maxKeys - 1)
    .limit(1)
  return (await own.executeTakeFirst()) !== undefined
}

/** @returns false when the key is taken, or the user has {@link maxKeys} */
export async function keep(
  trx: Trx,
  userId: string,
  { operation, keyMacs: [keyMac], bodyMacs: [bodyMac] }: KeyedRequest,
  outcome: object | null,
): Promise<boolean> {
  if (!keyMac || !bodyMac) throw new Error('a request without a MAC')
  const { numInsertedOrUpdatedRows = 0n } = await trx
    .insertInto('idempotency_keys')
    .columns(['user_id', 'operation', 'key_mac', 'body_mac', 'outcome', 'created_at'])
    .expression(
      trx
        .selectNoFrom([
          sql<string>`${userId}::text`.as('user_id'),
          sql<string>`${operation}::text`.as('operation'),
          sql<Uint8Array>`${keyMac}::bytea`.as('key_mac'),
          sql<Uint8Array>`${bodyMac}::bytea`.as('body_mac'),
          sql<string | null>`${outcome && JSON.stringify(outcome)}::jsonb`.as('outcome'),
          sql<string>`now()`.as('created_at'),
        ])
        .where(({ not, exists, selectFrom }) =>
          not(
            exists(
              selectFrom('idempotency_keys')
                .select('user_id')
                .where('user_id', '=', userId)
                .offset(maxKeys - 1)
                .limit(1),
            ),
          ),
        ),
    )
    // Replaces an expired one that the clean-up has not deleted yet.
    .onConflict((conflict) =>
      conflict
        .columns(['user_id', 'operation', 'key_mac'])
        .doUpdateSet((eb) => ({
          body_mac: eb.ref('excluded.body_mac'),
          outcome: eb.ref('excluded.outcome'),
          created_at: eb.ref('excluded.created_at'),
        }))
        .where(hasExpired),
    )
    .executeTakeFirst()
  return numInsertedOrUpdatedRows > 0n
}

/** Deletes all keys of an account that changes hands: a replay would return the previous holder's answers. */
export async function deleteOwnedKeys(trx: Trx, owner: OwnerId): Promise<void> {
  await trx.deleteFrom('idempotency_keys').where('user_id', '=', owner).execute()
}
