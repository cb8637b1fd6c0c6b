import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`

  // The address at which its proven owner chose the name: only there may a mail greet by it.
  await db.schema.alterTable('users').addColumn('named_by', text).execute()

  await db.schema
    .createTable('account_claims')
    .addColumn('user_id', text, (column) => column.primaryKey().references('users.id').onDelete('cascade'))
    // Made by a signup that asks for a verified address, and never logged in.
    .addColumn('waiting', 'boolean', (column) => column.notNull().defaultTo(false))
    // Another signup with the address came with another password.
    .addColumn('contested', 'boolean', (column) => column.notNull().defaultTo(false))
    .execute()
  // Such a signup opened no session; an imported account has no event at all.
  await sql`insert into account_claims (user_id, waiting, contested)
    select id, true, password_hash is null from users
    where issuer is null and not email_verified
      and not exists (select from sessions where sessions.user_id = users.id)
      and exists (select from security_events e
        where e.user_id = users.id and e.event = 'account_created' and e.session_id is null)
      and not exists (select from security_events e where e.user_id = users.id and e.event = 'login')`.execute(
    db,
  )

  // Not counted in the share of the mailbox.
  await db.schema
    .alterTable('mail_outbox')
    .addColumn('beyond_share', 'boolean', (column) => column.notNull().defaultTo(false))
    .execute()

  await db.schema.alterTable('one_time_tokens').dropConstraint('one_time_tokens_purpose').execute()
  await db.schema
    .alterTable('one_time_tokens')
    .addCheckConstraint(
      'one_time_tokens_purpose',
      sql`purpose in ('password_reset', 'email_verification', 'email_change', 'email_change_undo')`,
    )
    .execute()
}
