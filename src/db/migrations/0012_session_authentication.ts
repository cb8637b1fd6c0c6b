import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  // The defaults serve the release before, which opens sessions beside this one.
  await db.schema
    .alterTable('sessions')
    .addColumn('authenticated_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(sql`now()`))
    .addColumn('second_factor', 'boolean', (column) => column.notNull().defaultTo(false))
    .execute()
  await sql`update sessions set authenticated_at = created_at`.execute(db)
}
