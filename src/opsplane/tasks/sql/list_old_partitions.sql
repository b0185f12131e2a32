-- Daily partitions that hold nothing younger than a day.
select child.relname as name, parent.relname as parent
from pg_inherits
join pg_class as child on child.oid = inhrelid
join pg_class as parent on parent.oid = inhparent
where parent.relname in ('task_history', 'task_event', 'task_log')
    and child.relname < parent.relname || '_' || to_char(%(before)s::timestamptz at time zone 'UTC', 'YYYYMMDD')
order by 1
