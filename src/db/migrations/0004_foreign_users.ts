import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`
  // Users of a trusted issuer: their password is the issuer's affair, and perhaps their address.
  await db.schema
    .alterTable('users')
    .addColumn('issuer', text)
    .addColumn('subject', text)
    .alterColumn('email', (column) => column.dropNotNull())
    .alterColumn('password_hash', (column) => column.dropNotNull())
    .execute()
  await db.schema.alterTable('users').dropConstraint('users_email_key').execute()
  await db.schema
    .alterTable('users')
    .addUniqueConstraint('users_issuer_subject_key', ['issuer', 'subject'])
    .execute()
  await db.schema
    .alterTable('users')
    .addCheckConstraint('users_issuer_has_subject', sql`(issuer is null) = (subject is null)`)
    .execute()
  await db.schema
    .alterTable('users')
    .addCheckConstraint('users_local_has_email', sql`issuer is not null or email is not null`)
    .execute()
  await db.schema
    .alterTable('users')
    .addCheckConstraint('users_foreign_has_no_password', sql`issuer is null or password_hash is null`)
    .execute()
  // An address is one account here; it says nothing about the users of other issuers, who are never merged by it.
  await db.schema
    .createIndex('users_email_key')
    .on('users')
    .column('email')
    .unique()
    .where(sql.ref('issuer'), 'is', null)
    .execute()
}
