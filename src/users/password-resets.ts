import { type ExpressionBuilder, sql } from 'kysely'
import type { Database, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'

/** An account's last reset, for the limits on password guesses. */
export interface PasswordReset {
  /** Milliseconds since the epoch, by the database's clock. */
  readonly at: number
  readonly ip: string
  readonly ageSeconds: number
}

export async function noteReset(trx: Trx, owner: OwnerId, ip: string): Promise<void> {
  await trx
    .insertInto('password_resets')
    .values({ user_id: owner, ip, at: sql<string>`clock_timestamp()` })
    .onConflict((conflict) =>
      conflict
        .column('user_id')
        .doUpdateSet((eb) => ({ ip: eb.ref('excluded.ip'), at: eb.ref('excluded.at') })),
    )
    .execute()
}

/** A column for a query on `users`; null without a reset. */
export function lastReset(eb: ExpressionBuilder<Database, 'users'>) {
  return eb
    .selectFrom('password_resets')
    .whereRef('password_resets.user_id', '=', 'users.id')
    .select(
      sql<PasswordReset>`json_build_object('at', floor(extract(epoch from password_resets.at) * 1000),
        'ageSeconds', floor(extract(epoch from now() - password_resets.at)), 'ip', password_resets.ip)`.as(
        'reset',
      ),
    )
    .as('reset')
}
