-- The first due tasks of held lines from their beginning on.
select line.number::integer - 1 as line, ready.id::text as id, ready.prio, ready.run_at
from unnest(%(queues)s::text[], %(tenants)s::text[], %(types)s::text[]) with ordinality as line (queue, tenant, task_type, number)
cross join lateral (
    select task.id, task.prio, task.run_at from task
    where task.status = 7 and task.queue = line.queue and task.tenant = line.tenant and task.task_type = line.task_type
        and task.run_at <= now()
    order by task.prio, task.run_at, task.id
    limit %(limit)s
) as ready
