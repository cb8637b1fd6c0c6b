import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`
  const time = 'timestamptz(3)'
  const now = sql`now()`

  await db.schema
    .createTable('webhook_deliveries')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    .addColumn('event_id', text, (column) => column.notNull().unique())
    .addColumn('type', text, (column) => column.notNull())
    .addColumn('at', time, (column) => column.notNull())
    .addColumn('user_id', text)
    .addColumn('state', text, (column) => column.notNull().defaultTo('waiting'))
    .addColumn('attempts', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('last_error', 'text')
    .addColumn('created_at', time, (column) => column.notNull().defaultTo(now))
    .addColumn('next_attempt_at', time, (column) => column.notNull().defaultTo(now))
    .addCheckConstraint('webhook_deliveries_state', sql`state in ('waiting', 'failed')`)
    .execute()
  await db.schema
    .createIndex('webhook_deliveries_waiting')
    .on('webhook_deliveries')
    .column('next_attempt_at')
    .where(sql.ref('state'), '=', sql.lit('waiting'))
    .execute()
  // One row: which events have become deliveries.
  await db.schema
    .createTable('webhook_progress')
    .addColumn('id', 'integer', (column) => column.primaryKey().check(sql`id = 1`))
    .addColumn('position', 'text', (column) => column.notNull())
    .execute()

  await db.schema
    .createTable('event_seals')
    // Without a gap. Two instances that seal at once want the same id.
    .addColumn('id', 'bigint', (column) => column.primaryKey())
    .addColumn('at', time, (column) => column.notNull())
    .addColumn('previous_mac', 'bytea')
    .addColumn('previous_at', time)
    // JSON, as the MAC has it.
    .addColumn('entries', 'text', (column) => column.notNull())
    .addColumn('mac', 'bytea', (column) => column.notNull())
    .execute()
  // Null until it is sealed, in whichever order transactions commit.
  await db.schema.alterTable('security_events').addColumn('seal_id', 'bigint').execute()
  await db.schema
    .createIndex('security_events_by_seal')
    .on('security_events')
    .columns(['seal_id', 'id'])
    .execute()
}
