-- Append lines to the logs of tasks.
insert into task_log (task_id, at, level, message, fields)
select * from unnest(%(ids)s::uuid[], %(ats)s::timestamptz[], %(levels)s::text[], %(messages)s::text[], %(fields)s::jsonb[])
