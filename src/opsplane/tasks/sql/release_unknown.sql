-- Give back what this worker claimed without hearing of it: the answer was lost with the connection.
with started as materialized (select pg_current_xact_id() as xid)
update task
set status = 0, claim_token = null, worker = null, claimed_at = null, attempt = attempt - 1, run_at = clock_timestamp()
from started
where started.xid is not null and task.status = 1 and task.worker = %(worker)s
    and not (task.claim_token = any(%(tokens)s::bigint[]))
