-- Let go of held tasks that nothing holds any more; their due time is read after the transaction has its xid.
with started as materialized (select pg_current_xact_id() as xid),
found as materialized (
    select id from task
    where status = 7
        and not (queue = any(%(queues)s::text[]) or task_type = any(%(types)s::text[]) or tenant = any(%(tenants)s::text[]) or %(everyone)s)
    limit %(limit)s
    for update skip locked
)
update task set status = 0, due_at = run_at, run_at = greatest(run_at, clock_timestamp())
from started
where started.xid is not null and task.id = any(array(select id from found)::uuid[]) and task.status + 0 = 7
returning task.queue
