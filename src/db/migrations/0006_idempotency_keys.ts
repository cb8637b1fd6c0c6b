import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`

  await db.schema
    .createTable('idempotency_keys')
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('operation', text, (column) => column.notNull())
    // MACs of the key and of the body, with a key that is not in the database: what a client makes its key of, and
    // what it sent, cannot be found by trying.
    .addColumn('key_mac', 'bytea', (column) => column.notNull())
    .addColumn('body_mac', 'bytea', (column) => column.notNull())
    // What the answer needs and the repeated body does not say.
    .addColumn('outcome', 'jsonb')
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(sql`now()`))
    .addPrimaryKeyConstraint('idempotency_keys_pkey', ['user_id', 'operation', 'key_mac'])
    .execute()
  await db.schema.createIndex('idempotency_keys_by_age').on('idempotency_keys').column('created_at').execute()
}
