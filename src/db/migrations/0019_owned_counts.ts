import { type Kysely, sql } from 'kysely'

/**
 * What 0011 does for tasks, for the table of any resource: the trigger's argument is its table of counts. An insert
 * counts with a probability of 24 divided by the last count, and two at once do not wait for each other.
 */
export async function up(db: Kysely<unknown>): Promise<void> {
  // Qualified names: a session that restores a dump has another search_path.
  const { rows } = await sql<{ schema: string }>`select quote_ident(current_schema()) as schema`.execute(db)
  const schema = sql.raw(rows[0]?.schema ?? 'public')
  await sql`
    create function ${schema}.count_owned() returns trigger language plpgsql as $$
    declare
      last bigint;
    begin
      execute format('select counted from %I.%I where user_id = $1', tg_table_schema, tg_argv[0])
        into last using new.user_id;
      if random() * last > 32 * 24 then
        return null;
      end if;
      if not pg_try_advisory_xact_lock(hashtextextended(tg_argv[0] || ' ' || new.user_id, 0)) then
        return null;
      end if;
      execute format(
        'insert into %1$I.%2$I (user_id, counted)
          select $1, count(*) from (select from %1$I.%3$I where user_id = $1 limit 1000000) as own
          on conflict (user_id) do update set counted = excluded.counted',
        tg_table_schema, tg_argv[0], tg_table_name)
        using new.user_id;
      return null;
    end
    $$`.execute(db)
}
