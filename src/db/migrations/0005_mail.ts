import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`
  const now = sql`now()`

  await db.schema
    .createTable('one_time_tokens')
    // SHA-256 of what was mailed. The salt gives the token again, but only with a key that is not in the database.
    .addColumn('token_hash', 'bytea', (column) => column.primaryKey())
    .addColumn('salt', 'bytea', (column) => column.notNull())
    .addColumn('user_id', text, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('purpose', text, (column) => column.notNull())
    // The one address whose mailbox the token proves.
    .addColumn('email', text, (column) => column.notNull())
    .addColumn('expires_at', 'timestamptz(3)', (column) => column.notNull())
    // The newest is the only one.
    .addUniqueConstraint('one_time_tokens_newest', ['user_id', 'purpose'])
    .addCheckConstraint(
      'one_time_tokens_purpose',
      sql`purpose in ('password_reset', 'email_verification', 'email_change')`,
    )
    .execute()

  await db.schema
    .createTable('mail_outbox')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    // Of the mail's Message-ID: the same on every attempt, and no count of mails.
    .addColumn('message_id', 'uuid', (column) => column.notNull().defaultTo(sql`gen_random_uuid()`))
    .addColumn('kind', text, (column) => column.notNull())
    // Which mail it is; null until the worker has looked up whose address it is.
    .addColumn('mail', text)
    .addColumn('state', text, (column) => column.notNull().defaultTo('waiting'))
    .addColumn('recipient', text, (column) => column.notNull())
    // What requests are counted by. It outlives the account: deleting that must not start the count anew.
    .addColumn('mailbox', text)
    .addColumn('user_id', text, (column) => column.references('users.id').onDelete('set null'))
    .addColumn('token_hash', 'bytea')
    .addColumn('ip', 'text')
    .addColumn('attempts', 'integer', (column) => column.notNull().defaultTo(0))
    .addColumn('last_error', 'text')
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addColumn('next_attempt_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .addCheckConstraint('mail_outbox_state', sql`state in ('waiting', 'sent', 'dropped', 'failed')`)
    .execute()
  await db.schema
    .createIndex('mail_outbox_waiting')
    .on('mail_outbox')
    .column('next_attempt_at')
    .where(sql.ref('state'), '=', sql.lit('waiting'))
    .execute()
  await db.schema
    .createIndex('mail_outbox_by_mailbox')
    .on('mail_outbox')
    .columns(['mailbox', 'created_at'])
    .execute()
  await db.schema
    .createIndex('mail_outbox_by_user')
    .on('mail_outbox')
    .columns(['user_id', 'created_at'])
    .execute()
}
