-- Cancel those of these tasks that no worker has; never waiting for a lock.
with held as materialized (
    select id from task
    where id = any(%(ids)s::uuid[]) and status + 0 = any(%(statuses)s::integer[])
    for update skip locked
), gone as (delete from task where id = any(array(select id from held)::uuid[]) returning *)
insert into task_history (
    id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count, max_retries, worker, timeout_seconds,
    queue, task_type, tenant, params, scheduled_at, entity_type, requested_by, unique_key, file_name, file_size, sha256,
    input_key, callback_url, parent_id, traceparent, cancel_requested_at, cancel_requested_by, total_records,
    processed_records, failed_records, message
)
select
    gone.id, gone.created_at, gone.started_at, clock_timestamp(), 5, gone.prio, gone.emit, gone.attempt,
    gone.retry_count, gone.max_retries, gone.worker, gone.timeout_seconds, gone.queue, gone.task_type, gone.tenant,
    gone.params, gone.scheduled_at, gone.entity_type, gone.requested_by, gone.unique_key, gone.file_name,
    gone.file_size, gone.sha256, gone.input_key, gone.callback_url, gone.parent_id, gone.traceparent,
    coalesce(gone.cancel_requested_at, clock_timestamp()), coalesce(gone.cancel_requested_by, %(actor)s::text),
    gone.total_records, gone.processed_records, gone.failed_records, gone.message
from gone
returning id::text as id, task_type, emit, requested_by, parent_id::text as parent_id, completed_at
