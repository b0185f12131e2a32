-- Running tasks that count against a limit without having been let go by this dispatcher.
select id::text as id, queue, tenant, task_type
from task
where status = 1 and not (id = any(%(known)s::uuid[]))
    and (queue = any(%(queues)s::text[]) or task_type = any(%(types)s::text[]) or tenant = any(%(tenants)s::text[]) or %(everyone)s)
