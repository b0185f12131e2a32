-- Tasks a lost worker had, locked for their rescue. A worker stopped amid a write holds a lock: that task is an orphan later.
select
    id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, rescues, queue, emit, requested_by,
    entity_type, created_at, claimed_at, started_at, worker, traceparent, cancel_requested_at is not null as cancelled
from task
where status = 1 and worker = %(worker)s
order by id
limit %(limit)s
for update skip locked
