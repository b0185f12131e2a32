-- Finish claimed tasks, each with its own outcome; returns those whose claim still held, and whether their start was told.
with told as (
    select * from unnest(
        %(ids)s::uuid[], %(tokens)s::bigint[], %(delays)s::bigint[], %(statuses)s::smallint[], %(totals)s::bigint[], %(processed)s::bigint[],
        %(failed)s::bigint[], %(messages)s::text[], %(error_kinds)s::text[], %(error_messages)s::text[],
        %(results)s::jsonb[], %(result_files)s::jsonb[], %(error_files)s::jsonb[]
    ) as told (
        id, token, delay, status, total, processed, failed, message, error_kind, error_message, result, result_file, error_file
    )
), gone as (
    delete from task
    where id = any(%(ids)s::uuid[]) and status + 0 = 1 and claim_token = any(%(tokens)s::bigint[])
    returning *
), moved as (
    insert into task_history (
        id, created_at, started_at, completed_at, status, prio, emit, attempt, retry_count, max_retries, worker, timeout_seconds,
        queue, task_type, tenant, params, scheduled_at, entity_type, requested_by, unique_key, file_name, file_size, sha256,
        input_key, callback_url, parent_id, traceparent, cancel_requested_at, cancel_requested_by, total_records,
        processed_records, failed_records, message, error_kind, error_message,
        result, result_file, error_file
    )
    select
        gone.id, gone.created_at, coalesce(gone.started_at, gone.claimed_at + told.delay * interval '1 microsecond'),
        clock_timestamp(), told.status, gone.prio, gone.emit, gone.attempt, gone.retry_count, gone.max_retries,
        gone.worker, gone.timeout_seconds, gone.queue, gone.task_type, gone.tenant, gone.params, gone.scheduled_at,
        gone.entity_type, gone.requested_by, gone.unique_key, gone.file_name, gone.file_size, gone.sha256,
        gone.input_key, gone.callback_url, gone.parent_id, gone.traceparent, gone.cancel_requested_at,
        gone.cancel_requested_by, coalesce(told.total, gone.total_records),
        coalesce(told.processed, gone.processed_records), coalesce(told.failed, gone.failed_records),
        coalesce(told.message, gone.message), told.error_kind, told.error_message,
        told.result, told.result_file, told.error_file
    from gone join told on told.id = gone.id and told.token = gone.claim_token
    returning *
)
select
    moved.id::text as id, moved.parent_id::text as parent_id, moved.status, moved.cancel_requested_by, moved.started_at,
    moved.completed_at, gone.claim_token as token, gone.started_at is not null as announced
from moved join gone on gone.id = moved.id
