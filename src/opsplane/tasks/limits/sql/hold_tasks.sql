-- Hold ready tasks that must be held: created before their limit was set, or let go by a dispatcher that is no more.
update task set status = 7, run_at = coalesce(due_at, run_at), due_at = null
where status = 0 and not (id = any(%(known)s::uuid[]))
    and (queue = any(%(queues)s::text[]) or task_type = any(%(types)s::text[]) or tenant = any(%(tenants)s::text[]) or %(everyone)s)
