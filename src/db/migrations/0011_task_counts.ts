import { type Kysely, sql } from 'kysely'

export async function up(db: Kysely<unknown>): Promise<void> {
  // A list with `?completed` reads the rows that it returns, and no others. Two partial indexes and not one with the
  // column in it: where nearly all tasks of all users are alike, the planner expects as much of the primary key.
  await db.schema
    .createIndex('tasks_completed')
    .on('tasks')
    .columns(['user_id', 'id'])
    .where(sql.ref('completed'), '=', true)
    .execute()
  await db.schema
    .createIndex('tasks_not_completed')
    .on('tasks')
    .columns(['user_id', 'id'])
    .where(sql.ref('completed'), '=', false)
    .execute()

  await db.schema
    .createTable('task_counts')
    .addColumn('user_id', sql`text collate "C"`, (column) =>
      column.primaryKey().references('users.id').onDelete('cascade'),
    )
    // An estimate, kept by the trigger below; src/owned/quota.ts counts exactly near the limit.
    .addColumn('counted', 'bigint', (column) => column.notNull())
    .execute()

  // Qualified names: a session that restores a dump has another search_path.
  const { rows } = await sql<{ schema: string }>`select quote_ident(current_schema()) as schema`.execute(db)
  const schema = sql.raw(rows[0]?.schema ?? 'public')
  // A counter that every insert updates would make the inserts of one user wait for each other's commit. So only some
  // count, with a probability of 24 divided by the last count: a constant cost per insert, however many tasks there
  // are. Two at once count once, and neither waits.
  await sql`
    create function ${schema}.count_tasks() returns trigger language plpgsql as $$
    declare
      last bigint;
    begin
      select counted into last from ${schema}.task_counts where user_id = new.user_id;
      if random() * last > 32 * 24 then
        return null;
      end if;
      if not pg_try_advisory_xact_lock(hashtextextended('count_tasks ' || new.user_id, 0)) then
        return null;
      end if;
      insert into ${schema}.task_counts (user_id, counted)
        select new.user_id, count(*)
        from (select from ${schema}.tasks where user_id = new.user_id limit 1000000) as own
        on conflict (user_id) do update set counted = excluded.counted;
      return null;
    end
    $$`.execute(db)
  await sql`
    create trigger count_tasks after insert on ${schema}.tasks
    for each row when (random() < 1.0 / 32) execute function ${schema}.count_tasks()`.execute(db)
  await sql`
    insert into ${schema}.task_counts (user_id, counted)
    select user_id, count(*) from ${schema}.tasks group by user_id having count(*) > 100`.execute(db)
}
