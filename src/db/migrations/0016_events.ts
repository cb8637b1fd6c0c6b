import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const text = sql`text collate "C"`

  await db.schema
    .createTable('events')
    .addColumn('id', 'bigint', (column) => column.primaryKey().generatedAlwaysAsIdentity())
    // What readers know it by: a restored database would give the same numbers again.
    .addColumn('uid', 'uuid', (column) => column.notNull().defaultTo(sql`gen_random_uuid()`))
    .addColumn('at', 'timestamptz(3)', (column) => column.notNull().defaultTo(sql`now()`))
    .addColumn('type', text, (column) => column.notNull())
    // No foreign key: an event outlives the account.
    .addColumn('user_id', text)
    // Readers ask for what a snapshot of theirs did not contain.
    .addColumn('xid', sql`xid8`, (column) => column.notNull().defaultTo(sql`pg_current_xact_id()`))
    .execute()
  await db.schema.createIndex('events_by_xid').on('events').columns(['xid', 'id']).execute()

  // The newest transaction of an event that the clean-up has deleted.
  await db.schema
    .createTable('events_deleted')
    .addColumn('xid', sql`xid8`, (column) => column.notNull())
    .execute()

  for (const statement of triggers) await sql.raw(statement).execute(db)
}

/** Triggers, so that the release before, imports and SQL by hand cause the same events. */
const triggers = [
  `create function latchkey_publish_security_events() returns trigger language plpgsql set search_path from current as $$
  begin
    insert into events (at, type, user_id) select at, event, user_id from inserted order by id;
    return null;
  end $$`,
  `create trigger latchkey_publish after insert on security_events referencing new table as inserted
    for each statement execute function latchkey_publish_security_events()`,

  `create function latchkey_publish_users() returns trigger language plpgsql set search_path from current as $$
  begin
    insert into events (type, user_id) select tg_argv[0], id from changed;
    return null;
  end $$`,
  `create trigger latchkey_publish_created after insert on users referencing new table as changed
    for each statement execute function latchkey_publish_users('user.created')`,
  `create trigger latchkey_publish_deleted after delete on users referencing old table as changed
    for each statement execute function latchkey_publish_users('user.deleted')`,

  // What others show of a user. A new password is a security event.
  `create function latchkey_publish_update() returns trigger language plpgsql set search_path from current as $$
  begin
    insert into events (type, user_id) values ('user.updated', new.id);
    return null;
  end $$`,
  `create trigger latchkey_publish_updated after update on users for each row
    when ((old.email, old.name, old.email_verified) is distinct from (new.email, new.name, new.email_verified))
    execute function latchkey_publish_update()`,

  `create function latchkey_announce_events() returns trigger language plpgsql as $$
  begin
    if exists (select from inserted) then
      perform pg_notify('latchkey_events', '');
    end if;
    return null;
  end $$`,
  `create trigger latchkey_announce after insert on events referencing new table as inserted
    for each statement execute function latchkey_announce_events()`,
]
