-- Partitions of tomorrow that are not there.
select parent || '_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD') as name
from unnest(array['task_history', 'task_event', 'task_log']) as parent
where to_regclass(parent || '_' || to_char((now() at time zone 'UTC')::date + 1, 'YYYYMMDD')) is null
