import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`

  await db.schema
    .createTable('api_keys')
    .addColumn('id', id, (column) => column.primaryKey())
    .addColumn('user_id', id, (column) => column.notNull().references('users.id').onDelete('cascade'))
    .addColumn('name', 'text', (column) => column.notNull())
    .addColumn('scopes', sql`text[]`, (column) => column.notNull())
    // SHA-256 of the key.
    .addColumn('hash', 'bytea', (column) => column.notNull().unique())
    .addColumn('created_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(sql`now()`))
    .addColumn('expires_at', 'timestamptz(3)', (column) => column.notNull())
    .addColumn('last_used_at', 'timestamptz(3)')
    .execute()
  await db.schema
    .createIndex('api_keys_by_user')
    .on('api_keys')
    .columns(['user_id', 'created_at', 'id'])
    .execute()
  await db.schema.createIndex('api_keys_by_end').on('api_keys').column('expires_at').execute()

  await db.schema.alterTable('revocations').addColumn('key_id', id).execute()
  await db.schema.alterTable('revocations').dropConstraint('revocations_one_subject').execute()
  await sql`alter table revocations add constraint revocations_one_subject
    check (num_nonnulls(session_id, user_id, key_id) = 1)`.execute(db)
  await db.schema.alterTable('security_events').addColumn('key_id', id).execute()

  for (const statement of triggers) await sql.raw(statement).execute(db)
}

const triggers = [
  // As in 0008, with key_id.
  `create or replace function latchkey_announce_revocations() returns trigger language plpgsql as $$
  begin
    if (select count(*) from (select from changed limit 101) first_rows) > 100 then
      perform pg_notify('latchkey_revocations', 'read');
      return null;
    end if;
    perform pg_notify('latchkey_revocations', case when octet_length(message) < 7900 then message else 'read' end)
    from (
      select json_build_object('session_id', session_id, 'user_id', user_id, 'key_id', key_id,
        'created_at', created_at, 'issued_until', issued_until, 'ends_at', ends_at)::text as message
      from changed
    ) messages;
    return null;
  end $$`,

  // By a trigger, so that every way to delete a key ends it: a deleted account, the operator's SQL, the release before.
  // A minute more, for the clock of whoever has verified it.
  `create function latchkey_revoke_keys() returns trigger language plpgsql set search_path from current as $$
  begin
    insert into revocations (key_id, ends_at)
      select id, expires_at + interval '1 minute' from ended where expires_at + interval '1 minute' > now();
    return null;
  end $$`,
  `create trigger api_keys_revoke after delete on api_keys referencing old table as ended
    for each statement execute function latchkey_revoke_keys()`,
]
