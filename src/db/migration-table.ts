import { sql } from 'kysely'
import type { Db, Trx } from './schema.ts'

/** Not Kysely's default names, so that another application on Kysely can share the schema. */
export const migrationTable = 'latchkey_migrations'
export const migrationLockTable = 'latchkey_migrations_lock'

/** Kysely's default names, which earlier versions used. */
const formerTable = 'kysely_migration'
const formerLockTable = 'kysely_migration_lock'

/** Migrations applied to the schema that `search_path` selects. */
export interface Applied {
  readonly schema: string | null
  readonly encoding: string
  readonly names: readonly string[]
  /** Whether they are in a table of the former name that the role may rename. */
  readonly canAdopt: boolean
}

interface Catalog {
  readonly schema: string | null
  readonly encoding: string
  readonly current: boolean
  readonly former: boolean
  readonly owned: boolean
}

/** @param known migrations of this code: a table of the former name is this service's if it has no others */
export async function findApplied(db: Db, known: readonly string[]): Promise<Applied> {
  const { schema, encoding, current, former, owned } = await readCatalog(db)
  if (schema === null) return { schema, encoding, names: [], canAdopt: false }
  if (current) return { schema, encoding, names: await namesIn(db, schema, migrationTable), canAdopt: false }
  const names = former ? await namesIn(db, schema, formerTable) : []
  const isOurs = names.length > 0 && names.every((name) => known.includes(name))
  return { schema, encoding, names: isOurs ? names : [], canAdopt: isOurs && owned }
}

async function readCatalog(db: Db): Promise<Catalog> {
  // Another application's table may have other columns, or be unreadable to this role.
  const { rows } = await sql<Catalog>`
    with found as (
      select c.relname, c.oid, pg_has_role(c.relowner, 'usage') as owned from pg_catalog.pg_class c
      where c.relnamespace = to_regnamespace(quote_ident(current_schema())) and c.relkind in ('r', 'p')
        and (c.relname = ${migrationTable} or c.relname = ${formerTable} and has_table_privilege(c.oid, 'select')
          and exists (select 1 from pg_catalog.pg_attribute a
            where a.attrelid = c.oid and a.attname = 'name' and not a.attisdropped))
    )
    select current_schema()::text as schema, current_setting('server_encoding') as encoding,
      exists (select 1 from found where relname = ${migrationTable}) as current,
      exists (select 1 from found where relname = ${formerTable}) as former,
      exists (select 1 from found where relname = ${formerTable} and owned)
        and has_schema_privilege(current_schema(), 'create') as owned`.execute(db)
  return rows[0] as Catalog
}

async function namesIn(db: Db, schema: string, table: string): Promise<string[]> {
  const { rows } = await sql<{
    name: string
  }>`select name::text as name from ${sql.id(schema, table)}`.execute(db)
  return rows.map(({ name }) => name)
}

/** Renames the tables of the former names and their primary keys. */
export async function adoptFormerTables(trx: Trx, schema: string): Promise<void> {
  for (const [from, to] of [
    [formerTable, migrationTable],
    [formerLockTable, migrationLockTable],
  ] as const) {
    const { rows } = await sql<{ key: string | null }>`
      select i.conname as key from pg_catalog.pg_class c
        left join pg_catalog.pg_constraint i on i.conrelid = c.oid and i.contype = 'p'
      where c.relnamespace = to_regnamespace(quote_ident(${schema})) and c.relname = ${from} and c.relkind = 'r'
        and pg_has_role(c.relowner, 'usage')`.execute(trx)
    const [found] = rows
    if (!found) continue
    await sql`alter table ${sql.id(schema, from)} rename to ${sql.id(to)}`.execute(trx)
    if (found.key === null) continue
    await sql`alter table ${sql.id(schema, to)} rename constraint ${sql.id(found.key)} to ${sql.id(`${to}_pkey`)}`.execute(
      trx,
    )
  }
}
