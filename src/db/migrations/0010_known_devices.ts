import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  const id = sql`text collate "C"`
  const now = sql`now()`

  // No foreign key: its lock on the user would deadlock with what locks the user first and then ends sessions.
  await db.schema
    .createTable('ended_sessions')
    .addColumn('id', id, (column) => column.primaryKey())
    .addColumn('user_id', id, (column) => column.notNull())
    // What a refresh token of the session is still verified by, to recognise the device. It opens nothing.
    .addColumn('salt', 'bytea', (column) => column.notNull())
    .addColumn('ended_at', 'timestamptz(3)', (column) => column.notNull().defaultTo(now))
    .execute()
  await db.schema
    .createIndex('ended_sessions_by_user')
    .on('ended_sessions')
    .columns(['user_id', 'ended_at', 'id'])
    .execute()
  await db.schema.createIndex('ended_sessions_by_end').on('ended_sessions').column('ended_at').execute()

  // By triggers, so that every way to end a session is covered, the operator's SQL and the clean-up too.
  await sql`create function keep_ended_sessions() returns trigger language plpgsql set search_path from current as $$
    begin
      insert into ended_sessions (id, user_id, salt)
        select ended.id, ended.user_id, ended.salt from ended join users on users.id = ended.user_id
        on conflict (id) do nothing;
      -- The newest 20 of each user. Skips what another transaction holds: the next one removes it.
      delete from ended_sessions where id in (
        select surplus.id from (select distinct user_id from ended) as owner, lateral (
          select id from ended_sessions where user_id = owner.user_id
          order by ended_at desc, id desc offset 20 for update skip locked
        ) as surplus
      );
      return null;
    end $$`.execute(db)
  await sql`create trigger sessions_keep_ended after delete on sessions referencing old table as ended
    for each statement execute function keep_ended_sessions()`.execute(db)
  await sql`create function forget_ended_sessions() returns trigger language plpgsql set search_path from current as $$
    begin
      delete from ended_sessions where user_id = old.id;
      return null;
    end $$`.execute(db)
  await sql`create trigger users_forget_ended_sessions after delete on users
    for each row execute function forget_ended_sessions()`.execute(db)

  await db.schema
    .createTable('password_resets')
    .addColumn('user_id', id, (column) => column.primaryKey().references('users.id').onDelete('cascade'))
    .addColumn('ip', 'text', (column) => column.notNull())
    .addColumn('at', 'timestamptz(3)', (column) => column.notNull())
    .execute()
}
