-- The upload is there: the task may be claimed; its due time is read after the transaction has its xid.
with started as materialized (select pg_current_xact_id() as xid)
update task
set status = ready_status(queue, task_type, tenant), waits_for = null, waits_until = null, updated_at = clock_timestamp(),
    run_at = greatest(scheduled_at, clock_timestamp()),
    file_size = coalesce(%(size)s::bigint, file_size)
from started
where started.xid is not null and id = %(id)s::uuid and status = 2
returning task.*
