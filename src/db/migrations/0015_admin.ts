import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`
  const time = 'timestamptz(3)'

  await db.schema
    .alterTable('users')
    .addColumn('banned_at', time)
    // Null: until it is lifted.
    .addColumn('banned_until', time)
    .addColumn('ban_reason', 'text')
    .execute()
  // Addresses of this service's accounts have an index; the search for an address also finds foreign users.
  await db.schema
    .createIndex('users_by_foreign_email')
    .on('users')
    .column('email')
    .where(sql.ref('issuer'), 'is not', null)
    .execute()

  // The service client that asked for what the event reports.
  await db.schema.alterTable('security_events').addColumn('client_id', id).execute()
  await db.schema
    .createIndex('security_events_by_event')
    .on('security_events')
    .columns(['event', 'id'])
    .execute()

  // A ban refuses every token of the user until issued_until. The newest row counts, not the latest times: a ban can be
  // shortened.
  await db.schema
    .alterTable('revocations')
    .addColumn('ban', 'boolean', (column) => column.notNull().defaultTo(false))
    .execute()
  await sql`alter table revocations add constraint revocations_ban_of_user
    check (not ban or user_id is not null)`.execute(db)

  for (const statement of triggers) await sql.raw(statement).execute(db)
}

const triggers = [
  // As in 0008, but a row with a later id is merged too: of two transactions, the one with the earlier id may get the
  // lock last. Bans are not merged, with each other or with the rest.
  `create or replace function latchkey_merge_revocations() returns trigger language plpgsql as $$
  begin
    if not exists (select from inserted where user_id is not null and not ban) then
      return null;
    end if;
    if (select count(*) from inserted) <= 100 then
      perform pg_advisory_xact_lock(hashtextextended('latchkey revocations of ' || user_id, 0))
      from (
        select distinct user_id from inserted where user_id is not null and not ban order by user_id
      ) users;
    end if;
    execute format($merge$
      with newest as (
        select user_id, max(id) as id from inserted where user_id is not null and not ban group by user_id
      ), older as (
        delete from %1$I.%2$I r using newest n where r.user_id = n.user_id and r.id <> n.id and not r.ban
        returning r.user_id, coalesce(r.issued_until, r.created_at) as issued_until, r.ends_at
      ), merged as (
        select user_id, max(issued_until) as issued_until, max(ends_at) as ends_at from older group by user_id
      )
      update %1$I.%2$I r
      set issued_until = greatest(coalesce(r.issued_until, r.created_at), m.issued_until),
        ends_at = greatest(r.ends_at, m.ends_at)
      from newest n join merged m using (user_id)
      where r.id = n.id
        and (m.issued_until > coalesce(r.issued_until, r.created_at) or m.ends_at > r.ends_at)
    $merge$, tg_table_schema, tg_table_name);
    return null;
  end $$`,

  // As in 0014, with what orders the bans of a user.
  `create or replace function latchkey_announce_revocations() returns trigger language plpgsql as $$
  begin
    if (select count(*) from (select from changed limit 101) first_rows) > 100 then
      perform pg_notify('latchkey_revocations', 'read');
      return null;
    end if;
    perform pg_notify('latchkey_revocations', case when octet_length(message) < 7900 then message else 'read' end)
    from (
      select json_build_object('id', id, 'session_id', session_id, 'user_id', user_id, 'key_id', key_id,
        'created_at', created_at, 'issued_until', issued_until, 'ends_at', ends_at, 'ban', ban)::text as message
      from changed
    ) messages;
    return null;
  end $$`,
]
