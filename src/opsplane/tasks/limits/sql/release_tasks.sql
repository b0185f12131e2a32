-- Let held tasks go: workers may claim them; the time they are claimed by is read after the transaction has its xid.
-- `status + 0` keeps the planner away from the index of held tasks for finding tasks by their ids.
with started as materialized (select pg_current_xact_id() as xid)
update task set status = 0, due_at = run_at, run_at = clock_timestamp()
from started
where started.xid is not null and task.id = any(%(ids)s::uuid[]) and task.status + 0 = 7
returning task.id::text as id
