-- Undoes deploy/scale/citus.sql: tasks and idempotency keys are plain tables of the coordinator again. Run it there with
-- the service stopped, as the role that migrates:
--   psql --set=ON_ERROR_STOP=1 --file=deploy/scale/citus-undo.sql <url of the coordinator>
begin;

alter table tasks drop constraint tasks_user_id_fkey;
alter table idempotency_keys drop constraint idempotency_keys_user_id_fkey;

-- Not undistribute_table, which refuses a table with an identity.
set local latchkey.resource = 'tasks';
set local latchkey.partitions = '0';
\ir partitions.sql
select undistribute_table('idempotency_keys');

drop trigger latchkey_note_owners on users;
drop trigger latchkey_forget_owners on users;
drop function latchkey_note_owners();
drop function latchkey_forget_owners();
drop table latchkey_owners;

alter table tasks add constraint tasks_user_id_fkey
  foreign key (user_id) references users (id) on delete cascade;
alter table idempotency_keys add constraint idempotency_keys_user_id_fkey
  foreign key (user_id) references users (id) on delete cascade;

-- What migration 0011 made, and the counts that it keeps.
create trigger count_tasks after insert on tasks
  for each row when (random() < 1.0 / 32) execute function count_tasks();
insert into task_counts (user_id, counted)
  select user_id, count(*) from tasks group by user_id having count(*) > 100
  on conflict (user_id) do update set counted = excluded.counted;

commit;
