-- Make a failed task pending again, counted; its due time is read after the transaction has its xid.
with gone as (delete from task_history where id = %(id)s::uuid and status = 4 returning *),
started as materialized (select pg_current_xact_id() as xid)
insert into task (
    id, created_at, run_at, updated_at, status, prio, emit, attempt, retry_count, max_retries, timeout_seconds, queue,
    task_type, tenant, params, scheduled_at, entity_type, requested_by, unique_key, file_name, file_size, sha256,
    input_key, callback_url, parent_id, traceparent, error_kind, error_message
)
select
    gone.id, gone.created_at, clock_timestamp(), clock_timestamp(), ready_status(gone.queue, gone.task_type, gone.tenant), gone.prio, gone.emit, gone.attempt,
    gone.retry_count + 1, gone.max_retries, gone.timeout_seconds, gone.queue, gone.task_type, gone.tenant, gone.params,
    gone.scheduled_at, gone.entity_type, gone.requested_by, gone.unique_key, gone.file_name, gone.file_size,
    gone.sha256, gone.input_key, gone.callback_url, gone.parent_id, gone.traceparent, gone.error_kind,
    gone.error_message
from started, gone
where started.xid is not null
returning *
