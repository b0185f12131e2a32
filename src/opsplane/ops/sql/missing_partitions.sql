-- Partitions of today and tomorrow that are not there.
select parent || '_' || to_char((now() at time zone 'UTC')::date + day, 'YYYYMMDD') as name
from unnest(array['task_history', 'task_event', 'task_log']) as parent, generate_series(0, 1) as day
where to_regclass(parent || '_' || to_char((now() at time zone 'UTC')::date + day, 'YYYYMMDD')) is null
order by 1
