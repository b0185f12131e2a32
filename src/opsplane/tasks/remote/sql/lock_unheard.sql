-- What a worker has claimed but for the given tokens, locked: it never heard of it, or wants to be rid of it.
select
    id::text as id, task_type, claim_token as token, attempt, queue, emit, requested_by, entity_type, claimed_at, started_at,
    worker, traceparent, parent_id::text as parent_id, cancel_requested_at is not null as cancelled
from task
where status = 1 and worker = %(worker)s and not (claim_token = any(%(tokens)s::bigint[]))
order by id
for update
