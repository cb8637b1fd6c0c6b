import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  await db.schema
    .alterTable('revocations')
    // Until when the refused tokens were issued, by the clock that verifies them; created_at where null.
    .addColumn('issued_until', 'timestamptz(3)')
    // The transaction of the latest change: readers ask for what a snapshot of theirs did not contain.
    .addColumn('xid', sql`xid8`, (column) => column.notNull().defaultTo(sql`pg_current_xact_id()`))
    .execute()

  // One row for each user: the newest, with the greatest times.
  await sql`
    with greatest_times as (
      select user_id, max(id) as id, max(created_at) as issued_until, max(ends_at) as ends_at
      from revocations where user_id is not null group by user_id having count(*) > 1
    ), older as (
      delete from revocations r using greatest_times g where r.user_id = g.user_id and r.id < g.id
    )
    update revocations r set issued_until = g.issued_until, ends_at = g.ends_at
    from greatest_times g where r.id = g.id`.execute(db)

  // Every instance reads these; one that it cannot represent would stop it from reading the others.
  const latest = sql`timestamptz '9999-12-31 00:00:00+00'`
  await sql`update revocations set ends_at = least(ends_at, ${latest}), created_at = least(created_at, ${latest})
    where ends_at > ${latest} or created_at > ${latest}`.execute(db)
  await sql`delete from revocations where ends_at < now()`.execute(db)
  await sql`alter table revocations add constraint revocations_times check (
    least(created_at, issued_until, ends_at) >= timestamptz '1970-01-01 00:00:00+00'
    and greatest(created_at, issued_until, ends_at) <= ${latest})`.execute(db)

  await db.schema.dropIndex('revocations_by_created_at').execute()
  await db.schema.dropIndex('revocations_by_ends_at').execute()
  await db.schema.createIndex('revocations_by_xid').on('revocations').columns(['xid', 'id']).execute()
  await db.schema.createIndex('revocations_by_end').on('revocations').columns(['ends_at', 'id']).execute()
  await db.schema
    .createIndex('revocations_by_user')
    .on('revocations')
    .column('user_id')
    .where(sql.ref('user_id'), 'is not', null)
    .execute()

  for (const statement of triggers) await sql.raw(statement).execute(db)
}

/**
 * Triggers, so that SQL by hand and the release before do as the service does. The table is named by what the trigger
 * says of it: whoever writes may have another search_path.
 */
const triggers = [
  `create function latchkey_stamp_revocation() returns trigger language plpgsql as $$
  begin
    new.xid := pg_current_xact_id();
    return new;
  end $$`,

  // Not a unique constraint: the release before inserts a row for each logout.
  `create function latchkey_merge_revocations() returns trigger language plpgsql as $$
  begin
    if not exists (select from inserted where user_id is not null) then
      return null;
    end if;
    -- Of two transactions with the same user, the second sees the row of the first. A bulk change takes no locks,
    -- since the server has room for few; what it leaves double, the next insert merges.
    if (select count(*) from inserted) <= 100 then
      perform pg_advisory_xact_lock(hashtextextended('latchkey revocations of ' || user_id, 0))
      from (select distinct user_id from inserted where user_id is not null order by user_id) users;
    end if;
    execute format($merge$
      with newest as (
        select user_id, max(id) as id from inserted where user_id is not null group by user_id
      ), older as (
        delete from %1$I.%2$I r using newest n where r.user_id = n.user_id and r.id < n.id
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

  // The message is the row, so that whoever hears it needs no query; of many rows, or a long one, only that there
  // is something to read.
  `create function latchkey_announce_revocations() returns trigger language plpgsql as $$
  begin
    if (select count(*) from (select from changed limit 101) first_rows) > 100 then
      perform pg_notify('latchkey_revocations', 'read');
      return null;
    end if;
    perform pg_notify('latchkey_revocations', case when octet_length(message) < 7900 then message else 'read' end)
    from (
      select json_build_object('session_id', session_id, 'user_id', user_id, 'created_at', created_at,
        'issued_until', issued_until, 'ends_at', ends_at)::text as message
      from changed
    ) messages;
    return null;
  end $$`,

  `create trigger latchkey_stamp before insert or update on revocations
    for each row execute function latchkey_stamp_revocation()`,
  `create trigger latchkey_announce_insert after insert on revocations
    referencing new table as changed for each statement execute function latchkey_announce_revocations()`,
  `create trigger latchkey_announce_update after update on revocations
    referencing new table as changed for each statement execute function latchkey_announce_revocations()`,
  `create trigger latchkey_merge after insert on revocations
    referencing new table as inserted for each statement execute function latchkey_merge_revocations()`,
]
