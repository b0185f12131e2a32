-- Give the transaction its xid, then read the time that its tasks are due from, whether any may be held,
-- and whether there are queues that take no new tasks.
with started as materialized (select pg_current_xact_id() as xid)
select to_char(clock_timestamp() at time zone 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00' as now,
    exists (select from task_limit) or exists (select from queue where fair) as limited,
    exists (select from queue where drained_at is not null) as drained
from started where xid is not null
