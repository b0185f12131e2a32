-- Make parents ready again; the due time is read after the transaction has its xid.
with started as materialized (select pg_current_xact_id() as xid)
update task
set status = ready_status(task.queue, task.task_type, task.tenant), due_at = null, waits_for = null, worker = null, started_at = null, run_at = clock_timestamp(), updated_at = clock_timestamp()
from started
where started.xid is not null and task.id = any(%s::uuid[]) and task.status + 0 = 6
