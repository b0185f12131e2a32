-- Running tasks far beyond their timeout: their worker's loop hangs, or it would have ended them itself.
select
    id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, rescues, queue, emit, requested_by,
    entity_type, created_at, claimed_at, started_at, worker, traceparent, timeout_seconds as timeout,
    cancel_requested_at is not null as cancelled
from task
where status = 1 and coalesce(started_at, claimed_at) + (timeout_seconds + %(margin)s) * interval '1 second' < clock_timestamp()
order by id
limit %(limit)s
for update skip locked
