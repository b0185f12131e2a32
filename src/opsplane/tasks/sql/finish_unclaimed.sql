-- Finish a task that no worker has: cancelled before it began or while its children ran, or its upload never came. No row: it is claimed or gone.
with gone as (delete from task where id = %(id)s::uuid and status in (0, 2, 6, 7) returning *)
insert into task_history (
    id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count, max_retries, worker, timeout_seconds,
    queue, task_type, tenant, params, scheduled_at, entity_type, requested_by, unique_key, file_name, file_size, sha256,
    input_key, callback_url, parent_id, traceparent, cancel_requested_at, cancel_requested_by, total_records,
    processed_records, failed_records, message, error_kind, error_message
)
select
    gone.id, gone.created_at, gone.started_at, clock_timestamp(), %(status)s::smallint, gone.prio, gone.emit,
    gone.attempt, gone.retry_count, gone.max_retries, gone.worker, gone.timeout_seconds, gone.queue, gone.task_type,
    gone.tenant, gone.params, gone.scheduled_at, gone.entity_type, gone.requested_by, gone.unique_key,
    gone.file_name, gone.file_size, gone.sha256, gone.input_key, gone.callback_url, gone.parent_id, gone.traceparent,
    coalesce(gone.cancel_requested_at, case when %(actor)s::text is not null then clock_timestamp() end),
    coalesce(gone.cancel_requested_by, %(actor)s::text), gone.total_records,
    gone.processed_records, gone.failed_records, gone.message, %(error_kind)s::text, %(error_message)s::text
from gone
returning *
