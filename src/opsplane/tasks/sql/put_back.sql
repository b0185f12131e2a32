-- Make claimed tasks ready again, due after a delay; the due time is read after the transaction has its xid.
-- A rescued one keeps its place before the others of its queue: it lies below the marks, where the next sweep finds it.
with started as materialized (select pg_current_xact_id() as xid),
told as (
    select * from unnest(
        %(ids)s::uuid[], %(tokens)s::bigint[], %(delays)s::double precision[], %(retries)s::smallint[],
        %(attempts)s::smallint[], %(rescues)s::smallint[], %(error_kinds)s::text[], %(error_messages)s::text[]
    ) as told (id, token, delay, retries, attempts, rescues, error_kind, error_message)
)
update task
set status = ready_status(task.queue, task.task_type, task.tenant), due_at = null, claim_token = null, worker = null, claimed_at = null, started_at = null,
    updated_at = clock_timestamp(),
    run_at = case when told.rescues = 0 then clock_timestamp() + told.delay * interval '1 second' else coalesce(task.due_at, task.run_at) end,
    retry_count = retry_count + told.retries, attempt = attempt + told.attempts, rescues = task.rescues + told.rescues,
    error_kind = coalesce(told.error_kind, task.error_kind),
    error_message = coalesce(told.error_message, task.error_message)
from told, started
where started.xid is not null and task.id = any(%(ids)s::uuid[]) and told.id = task.id
    and task.status + 0 = 1 and task.claim_token = told.token
returning task.id::text as id, told.token, old.started_at is not null as announced
