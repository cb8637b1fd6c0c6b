import { sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import type { Db, Trx } from '../db/schema.ts'
import type { OwnerId } from '../tokens/owner.ts'
import { type ItemRow, parametersOf, type Values, type VersionedItem, versioned } from './item.ts'
import { type OwnedTables, withOwnedTables } from './table.ts'

type Parameters = Record<string, unknown> & { readonly owner: OwnerId }

/** Inserts into a resource's table, and counts of a user's rows. */
export function ownedInserts({ rows, counts, fields }: OwnedTables) {
  const names = fields.map(({ name }) => name)

  const insert = compiledOnce<Parameters, ItemRow>((db, value) =>
    withOwnedTables(db)
      .insertInto(rows)
      .values({ user_id: value('owner'), ...Object.fromEntries(names.map((name) => [name, value(name)])) })
      .returningAll()
      .$castTo<ItemRow>(),
  )

  const insertBelow = compiledOnce<Parameters, ItemRow>((db, value) =>
    withOwnedTables(db)
      .insertInto(rows)
      .columns(['user_id', ...names] as 'user_id'[])
      .expression(
        withOwnedTables(db)
          .selectNoFrom([
            sql<string>`${value('owner')}::text`.as('user_id'),
            ...fields.map(({ name, columnType }) =>
              sql<string>`${value(name)}::${sql.raw(columnType)}`.as(name as 'user_id'),
            ),
          ])
          .where(({ not, exists, selectFrom }) =>
            not(
              exists(
                selectFrom(counts)
                  .select('user_id')
                  .where('user_id', '=', value('owner'))
                  .where('counted', '>=', value('estimate') as number),
              ),
            ),
          ),
      )
      .returningAll()
      .$castTo<ItemRow>(),
  )

  return {
    async insertOwned(db: Db, owner: OwnerId, values: Values): Promise<VersionedItem> {
      const [row] = await insert(db, { ...parametersOf(fields, values), owner })
      if (!row) throw new Error('INSERT ... RETURNING returned no row')
      return versioned(row)
    },

    /**
     * Inserts an item unless the owner's last count is `estimate` or more. Concurrent inserts do not block each other.
     * @returns undefined if not inserted
     */
    async insertOwnedBelow(
      db: Db,
      owner: OwnerId,
      values: Values,
      estimate: number,
    ): Promise<VersionedItem | undefined> {
      const [row] = await insertBelow(db, { ...parametersOf(fields, values), owner, estimate })
      return row && versioned(row)
    },

    /** Counts rows, up to `max`. */
    async countOwned(trx: Trx, owner: OwnerId, max: number): Promise<number> {
      const own = withOwnedTables(trx).selectFrom(rows).select('id').where('user_id', '=', owner).limit(max)
      const { count } = await trx
        .selectFrom(own.as('own'))
        .select((eb) => eb.fn.countAll<number>().as('count'))
        .executeTakeFirstOrThrow()
      return count
    },

    /** Corrects the estimate, which deletions do not lower. */
    async setOwnedCount(trx: Trx, owner: OwnerId, counted: number): Promise<void> {
      await withOwnedTables(trx).updateTable(counts).set({ counted }).where('user_id', '=', owner).execute()
    },
  }
}

/** Serializes inserts of the owner's rows: their foreign keys lock the same row. */
export async function lockOwner(trx: Trx, owner: OwnerId): Promise<void> {
  await trx.selectFrom('users').select('id').where('id', '=', owner).forUpdate().execute()
}
