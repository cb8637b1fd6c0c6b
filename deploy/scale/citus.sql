-- Tasks and idempotency keys on the workers of a Citus cluster, everything else on the coordinator: docs/scale.md. Run it
-- on the coordinator after `migrate`, or after a restored dump, with the service stopped, as the role that migrates:
--   psql --set=ON_ERROR_STOP=1 --file=deploy/scale/citus.sql <url of the coordinator>
begin;
set local citus.multi_shard_modify_mode = 'sequential';

-- Who there is, on every node: what the distributed tables refer to. Only signups and deletions write it.
create table if not exists latchkey_owners (id text collate "C" primary key);
insert into latchkey_owners select id from users on conflict do nothing;

create or replace function latchkey_note_owners() returns trigger language plpgsql set search_path from current as $$
declare
  ids text[] := array(select id from made);
begin
  insert into latchkey_owners select unnest(ids) on conflict do nothing;
  return null;
end $$;
create or replace function latchkey_forget_owners() returns trigger language plpgsql set search_path from current as $$
declare
  ids text[] := array(select id from gone);
begin
  delete from latchkey_owners where id = any (ids);
  return null;
end $$;
create or replace trigger latchkey_note_owners after insert on users referencing new table as made
  for each statement execute function latchkey_note_owners();
create or replace trigger latchkey_forget_owners after delete on users referencing old table as gone
  for each statement execute function latchkey_forget_owners();

alter table tasks drop constraint tasks_user_id_fkey;
alter table idempotency_keys drop constraint idempotency_keys_user_id_fkey;
-- A trigger cannot read other tables from a worker, so nothing estimates the number of a user's tasks: with
-- MAX_TASKS_PER_USER below 1000 the service counts, above it the limit is not enforced.
drop trigger if exists count_tasks on tasks;

select create_reference_table('latchkey_owners');
select create_distributed_table('tasks', 'user_id');
select create_distributed_table('idempotency_keys', 'user_id', colocate_with => 'tasks');

alter table tasks add constraint tasks_user_id_fkey
  foreign key (user_id) references latchkey_owners (id) on delete cascade;
alter table idempotency_keys add constraint idempotency_keys_user_id_fkey
  foreign key (user_id) references latchkey_owners (id) on delete cascade;

commit;

-- The coordinator's own copy of the rows.
select truncate_local_data_after_distributing_table('tasks');
select truncate_local_data_after_distributing_table('idempotency_keys');
