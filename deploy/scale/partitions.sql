-- Divides the table of a resource into hash partitions by its owner: docs/scale.md. Run it with the service stopped, as
-- the role that migrates. It takes its parameters from the session:
--   PGOPTIONS="-c latchkey.resource=tasks -c latchkey.partitions=16" psql --file=deploy/scale/partitions.sql <url>
-- 0 partitions make one plain table again.
do $$
declare
  resource text := coalesce(nullif(current_setting('latchkey.resource', true), ''), 'tasks');
  parts int := coalesce(nullif(current_setting('latchkey.partitions', true), ''), '16');
  whole text := resource || '_whole';
  old_sequence text;
  new_sequence text;
  owner text;
  later text[];
  statement text;
begin
  if parts > 0 and (select relkind from pg_class where oid = resource::regclass) = 'p' then
    raise exception '% is partitioned already: make it one table first, with 0 partitions', resource;
  end if;
  execute format('lock table %I in access exclusive mode', resource);
  old_sequence := pg_get_serial_sequence(quote_ident(resource), 'id');

  -- What LIKE does not copy, or would give another name: keys, indexes, triggers, rights.
  select rolname into owner from pg_class c join pg_roles r on r.oid = c.relowner where c.oid = resource::regclass;
  later := array(
    select format('alter table %I add constraint %I %s', resource, conname, pg_get_constraintdef(oid))
    from pg_constraint where conrelid = resource::regclass and contype in ('p', 'u', 'f') order by contype desc
  ) || array(
    select replace(pg_get_indexdef(indexrelid), ' ON ONLY ', ' ON ') from pg_index i
    where indrelid = resource::regclass
      and not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.conrelid = i.indrelid)
  ) || array(
    select pg_get_triggerdef(oid) from pg_trigger where tgrelid = resource::regclass and not tgisinternal
  ) || array(
    select format('grant %s on %I to %s', privilege_type, resource,
      case grantee when 0 then 'public' else quote_ident(pg_get_userbyid(grantee)) end)
    from pg_class c, aclexplode(c.relacl) where c.oid = resource::regclass
  );

  execute format('alter table %I rename to %I', resource, whole);
  execute format('create table %I (like %I including all excluding indexes)', resource, whole)
    || case when parts > 0 then ' partition by hash (user_id)' else '' end;
  for part in 0 .. parts - 1 loop
    execute format('create table %I partition of %I for values with (modulus %s, remainder %s)',
      resource || '_' || part, resource, parts, part);
  end loop;
  execute format('insert into %I overriding system value select * from %I', resource, whole);

  new_sequence := pg_get_serial_sequence(quote_ident(resource), 'id');
  execute format('select setval(%L, last_value, is_called) from %s', new_sequence, old_sequence);
  execute format('drop table %I', whole);
  execute format('alter sequence %s rename to %I', new_sequence, resource || '_id_seq');
  execute format('alter table %I owner to %I', resource, owner);
  foreach statement in array later loop
    execute statement;
  end loop;
  execute format('analyze %I', resource);

  -- Otherwise each read is planned anew, since a plan for one owner's partition looks cheaper than one for all.
  if parts > 0 then
    execute format('alter database %I set plan_cache_mode = force_generic_plan', current_database());
  else
    execute format('alter database %I reset plan_cache_mode', current_database());
  end if;
end
$$;
