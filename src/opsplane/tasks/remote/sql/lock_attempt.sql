-- A running attempt with its worker's owner, locked until the transaction ends; without a token the one that runs now.
-- This fences what remote workers write: no row when the task has ended, waits, or is run by another attempt.
select
    task.id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, queue, emit, requested_by,
    entity_type, claimed_at, task.started_at, worker, traceparent, parent_id::text as parent_id, owned.owner,
    cancel_requested_at is not null as cancelled,
    extract(epoch from clock_timestamp() - coalesce(task.started_at, claimed_at))::double precision as ran
from task join worker as owned on owned.number = task.worker
where task.id = %(id)s::uuid and status + 0 = 1
    and (%(token)s::bigint is null or claim_token = %(token)s::bigint)
for update of task
