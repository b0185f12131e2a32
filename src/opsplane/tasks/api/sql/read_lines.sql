-- New log lines of the watched tasks, each after the last one read of it.
select log.task_id, log.number, log.at, log.level, log.message, log.fields
from unnest(%(tasks)s::uuid[], %(after)s::bigint[]) as wanted (task_id, after)
cross join lateral (
    select * from task_log where task_log.task_id = wanted.task_id and task_log.number > wanted.after
    order by task_log.number limit 500
) as log
order by log.task_id, log.number
