import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`
  const now = sql`now()`

  await db.schema
    .createTable('users')
    .addColumn('id', id, (column) => column.primaryKey())
    .addColumn('email', id, (column) => column.notNull().unique())
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('email_verified', 'boolean', (column) => column.notNull().defaultTo(false))
    .addColumn('password_hash', 'text', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    // One canonical form, computed once in the service; the database refuses any other.
    .addCheckConstraint('users_email_is_canonical', sql`email = lower(email collate "C")`)
    .execute()

  await db.schema
    .createTable('sessions')
    .addColumn('id', id, (column) => column.primaryKey())
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    // With the salt, what the current refresh token is a MAC over; the key is not in the database.
    .addColumn('generation', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('salt', 'bytea', (column) => column.notNull())
    .addColumn('ip', 'text', (column) => column.notNull())
    .addColumn('user_agent', 'text', (column) => column.notNull())
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('last_used_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('idle_expires_at', 'timestamptz(3)', (column) => column.notNull())
    .addColumn('expires_at', 'timestamptz(3)', (column) => column.notNull())
    .execute()
  await db.schema.createIndex('sessions_by_user').on('sessions').columns(['user_id', 'created_at']).execute()

  await db.schema
    .createTable('tasks')
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('id', 'bigint', (column) => column.notNull().generatedAlwaysAsIdentity())
    .addColumn('title', 'text', (column) => column.notNull())
    .addColumn('description', 'text')
    .addColumn('completed', 'boolean', (column) => column.notNull().defaultTo(false))
    .addColumn('version', 'integer', (column) => column.notNull().defaultTo(1))
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('updated_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    // The owner comes first: one index serves the guard in the WHERE, the keyset and the single read.
    .addPrimaryKeyConstraint('tasks_pkey', ['user_id', 'id'])
    .addCheckConstraint('tasks_title_length', sql`char_length(title) between 1 and 200`)
    .addCheckConstraint('tasks_description_length', sql`char_length(description) <= 1000`)
    .execute()
}
