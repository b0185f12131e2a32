-- What a viewer sees (opsplane.database.viewing): tasks of its tenant, its own or, as a member, all; and what belongs to them.
do $$
declare
    viewer text := current_database() || '_viewer';
    part text;
begin
    if not exists (select from pg_roles where rolname = viewer and pg_has_role(current_user, oid, 'MEMBER')) then
        raise exception 'the role % is missing, or % may not take it on', viewer, current_user
            using hint = format('As a superuser: create role %I nologin; grant %I to %I;', viewer, viewer, current_user);
    end if;
    execute format('grant usage on schema public to %I', viewer);
    foreach part in array array['task', 'task_history'] loop
        execute format('alter table %I enable row level security', part);
        execute format(
            'create policy viewer on %I for select to %I using (tenant = current_setting(''opsplane.tenant'', true) and '
            || '(requested_by = current_setting(''opsplane.subject'', true) or current_setting(''opsplane.member'', true) = ''true''))',
            part, viewer
        );
    end loop;
    foreach part in array array['task_event', 'task_log', 'task_step'] loop
        execute format('alter table %I enable row level security', part);
        execute format(
            'create policy viewer on %I for select to %I using (exists (select from any_task where any_task.id = task_id))',
            part, viewer
        );
    end loop;
    execute 'alter table fan_out enable row level security';
    execute format(
        'create policy viewer on fan_out for select to %I using (exists (select from any_task where any_task.id = fan_out.parent_id))', viewer
    );
    execute format(
        'grant select on task, task_history, task_event, task_log, task_step, fan_out, fan_out_tally, any_task, fan_out_now to %I', viewer
    );
end
$$;
alter view any_task set (security_invoker = true);
alter view fan_out_now set (security_invoker = true);
