import { sql } from 'kysely'
import { compiledOnce } from '../db/compiled.ts'
import { versionConditions } from '../db/preconditions.ts'
import type { Db } from '../db/schema.ts'
import type { Preconditions } from '../http/etag.ts'
import { type OwnerId, subjectOf } from '../tokens/owner.ts'
import { type Item, type ItemRow, parametersOf, type Values, type VersionedItem, versioned } from './item.ts'
import { type OwnedTables, withOwnedTables } from './table.ts'

interface Page {
  readonly limit: number
  /** Id of the last item already seen. */
  readonly after: number
  /** Values that filters must have, among others; undefined: any. */
  readonly where: Values
}

type Parameters = Record<string, unknown> & { readonly owner: OwnerId }
type Placeholder = (name: string) => never

/**
 * Reads and writes of a resource's rows; each has the owner in its WHERE.
 * @param filters fields by which a page can be narrowed
 */
export function ownedRows({ rows, counts, fields }: OwnedTables, filters: readonly string[]) {
  const columns = ['id', 'user_id', ...fields.map(({ name }) => name), 'created_at', 'updated_at'] as 'id'[]
  const own = (db: Db, owner: OwnerId) => withOwnedTables(db).selectFrom(rows).where('user_id', '=', owner)

  const selectOne = compiledOnce<Parameters, ItemRow>((db, value) =>
    own(db, value('owner'))
      .selectAll()
      .where('id', '=', (value as Placeholder)('id')),
  )

  const pages = new Map<string, ReturnType<typeof pageOf>>()

  function pageOf(where: readonly (readonly [name: string, value: unknown])[]) {
    return compiledOnce<Parameters, Item>((db, value) => {
      const placeholder = value as Placeholder
      let page = own(db, value('owner')).select(columns).where('id', '>', placeholder('after'))
      for (const [name, wanted] of where) {
        // A literal, not a parameter, so that the planner can choose a partial index.
        const sought = typeof wanted === 'boolean' ? sql.lit(wanted) : placeholder(name)
        page = page.where(sql.ref(name), '=', sought)
      }
      return page.orderBy('id').limit(placeholder('fetch'))
    })
  }

  /** One statement for each combination of filters; a boolean is two. */
  function selectPage(where: Values) {
    // Built for each request, hence without a list.
    let key = ''
    for (const name of filters) {
      const value = where[name]
      if (value !== undefined) key += typeof value === 'boolean' ? `,${name}=${value}` : `,${name}`
    }
    const known = pages.get(key)
    if (known) return known
    const set = filters.filter((name) => where[name] !== undefined)
    const select = pageOf(set.map((name) => [name, where[name]]))
    pages.set(key, select)
    return select
  }

  return {
    /** Up to `limit` items in order of id, and whether more follow. */
    async listOwned(
      db: Db,
      owner: OwnerId,
      { limit, after, where }: Page,
    ): Promise<{ items: Item[]; more: boolean }> {
      // One extra row shows whether another page follows.
      const items = await selectPage(where)(db, { ...where, owner, after, fetch: limit + 1 })
      const more = items.length > limit
      if (more) items.pop()
      const userId = subjectOf(owner)
      for (const item of items) item.user_id = userId
      return { items, more }
    },

    async findOwned(db: Db, owner: OwnerId, id: number): Promise<VersionedItem | undefined> {
      const [row] = await selectOne(db, { owner, id })
      return row && versioned(row)
    },

    async updateOwned(
      db: Db,
      owner: OwnerId,
      id: number,
      changes: Values,
      preconditions: Preconditions,
    ): Promise<VersionedItem | undefined> {
      const row = await withOwnedTables(db)
        .updateTable(rows)
        .set((eb) => ({
          ...parametersOf(fields, changes),
          version: eb('version', '+', 1),
          updated_at: eb.fn<string>('now'),
        }))
        .where('user_id', '=', owner)
        .where('id', '=', id)
        .where((eb) => eb.and(versionConditions(preconditions)))
        .returningAll()
        .executeTakeFirst()
      return row && versioned(row as unknown as ItemRow)
    },

    async deleteOwned(db: Db, owner: OwnerId, id: number, preconditions: Preconditions): Promise<boolean> {
      const { numDeletedRows } = await withOwnedTables(db)
        .deleteFrom(rows)
        .where('user_id', '=', owner)
        .where('id', '=', id)
        .where((eb) => eb.and(versionConditions(preconditions)))
        .executeTakeFirst()
      return numDeletedRows > 0n
    },

    /** For an account taken over by the owner of its address: the rows are somebody else's. */
    async deleteAllOwned(db: Db, owner: OwnerId): Promise<void> {
      await withOwnedTables(db).deleteFrom(rows).where('user_id', '=', owner).execute()
      await withOwnedTables(db).deleteFrom(counts).where('user_id', '=', owner).execute()
    },
  }
}
