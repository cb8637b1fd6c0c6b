import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .createTable('signing_keys')
    .addColumn('kid', sql`text collate "C"`, (column) => column.primaryKey())
    .addColumn('algorithm', sql`text collate "C"`, (column) => column.notNull())
    .addColumn('public_jwk', 'jsonb', (column) => column.notNull())
    // PKCS#8 under a key derived from SECRET_KEY.
    .addColumn('private_key', 'text', (column) => column.notNull())
    .addColumn('signs_from', 'timestamptz(3)', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(sql`clock_timestamp()`))
    .addCheckConstraint('signing_keys_has_no_private_jwk', sql`not public_jwk ? 'd'`)
    .execute()
}
