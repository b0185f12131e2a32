-- Running tasks beyond their timeout; a worker of the installation gets a margin, for it ends them itself unless its loop hangs.
select
    task.id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, rescues, queue, emit,
    requested_by, entity_type, created_at, claimed_at, task.started_at, worker, traceparent, timeout_seconds as timeout,
    cancel_requested_at is not null as cancelled
from task left join worker as owned on owned.number = task.worker
where status = 1 and coalesce(task.started_at, claimed_at)
    + (timeout_seconds + case when owned.lease_until is null then %(margin)s else 0 end) * interval '1 second'
    < clock_timestamp()
order by task.id
limit %(limit)s
for update of task skip locked
