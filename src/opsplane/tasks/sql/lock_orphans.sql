-- Tasks of workers that went without anybody giving their tasks back, locked for their rescue.
select
    task.id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, rescues, queue, emit,
    requested_by, entity_type, created_at, claimed_at, task.started_at, worker, traceparent,
    cancel_requested_at is not null as cancelled
from task
where status = 1 and worker in (select number from worker where gone_at is not null)
order by id
limit %(limit)s
for update skip locked
