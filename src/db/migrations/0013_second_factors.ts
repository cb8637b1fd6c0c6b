import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`
  const time = 'timestamptz(3)'

  // At most one per user: unconfirmed it is a setup, which counts for nothing.
  await db.schema
    .createTable('totp_factors')
    .addColumn('user_id', id, (column) => column.primaryKey().references('users.id').onDelete('cascade'))
    // Of this enrolment: an mfa token is bound to it.
    .addColumn('id', 'uuid', (column) => column.notNull().defaultTo(sql`gen_random_uuid()`))
    // Encrypted under a key that is not in the database; sealed_by names that key.
    .addColumn('secret', 'text', (column) => column.notNull())
    .addColumn('sealed_by', 'text', (column) => column.notNull())
    // The time step of the last code that was accepted (RFC 6238 section 5.2: a code is good once).
    .addColumn('last_step', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('created_at', time, (column) => column.notNull().defaultTo(sql`now()`))
    .addColumn('confirmed_at', time)
    .execute()

  await db.schema
    .createTable('recovery_codes')
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('mac', 'bytea', (column) => column.notNull())
    .addPrimaryKeyConstraint('recovery_codes_pkey', ['user_id', 'mac'])
    .execute()

  await db.schema
    .createTable('used_mfa_tokens')
    .addColumn('token_hash', 'bytea', (column) => column.primaryKey())
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('expires_at', time, (column) => column.notNull())
    .execute()
  await db.schema.createIndex('used_mfa_tokens_by_user').on('used_mfa_tokens').column('user_id').execute()
}
