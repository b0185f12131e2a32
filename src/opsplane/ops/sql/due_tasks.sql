-- Of these types, those with tasks that could run now if somebody ran them.
select task_type, count(*) as count, min(run_at) as since
from task
where status in (0, 7) and run_at <= clock_timestamp() and task_type = any(%(types)s)
group by task_type
order by task_type
