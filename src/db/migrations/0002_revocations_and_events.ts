import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`
  const now = sql`now()`

  await db.schema
    .createTable('revocations')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    .addColumn('session_id', id)
    .addColumn('user_id', id)
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('ends_at', 'timestamptz(3)', (column) => column.notNull())
    // A session's tokens, or all of a user's tokens that were issued until created_at and name no session.
    .addCheckConstraint('revocations_one_subject', sql`(session_id is null) <> (user_id is null)`)
    .execute()
  await db.schema.createIndex('revocations_by_created_at').on('revocations').column('created_at').execute()
  await db.schema.createIndex('revocations_by_ends_at').on('revocations').column('ends_at').execute()

  await db.schema
    .createTable('security_events')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    .addColumn('at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('event', 'text', (column) => column.notNull())
    // No foreign keys: what happened stays known when the account is gone.
    .addColumn('user_id', id)
    .addColumn('session_id', id)
    .addColumn('ip', 'text')
    .execute()
  await db.schema
    .createIndex('security_events_by_user')
    .on('security_events')
    .columns(['user_id', 'at'])
    .execute()
  await db.schema.createIndex('security_events_by_at').on('security_events').column('at').execute()
}
