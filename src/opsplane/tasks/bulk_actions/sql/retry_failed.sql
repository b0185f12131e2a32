-- Make those of these failed tasks pending again, counted, whose unique key is free; never waiting for a lock.
-- Returns those that could be locked: `retried`, or refused because of the unique key, which stay as they are.
with started as materialized (select pg_current_xact_id() as xid),
failed as materialized (
    select * from task_history where id = any(%(ids)s::uuid[]) and status = 4
    for update skip locked
), made as (
    insert into task (
        id, created_at, run_at, updated_at, status, prio, emit, attempt, retry_count, max_retries, timeout_seconds, queue,
        task_type, tenant, params, scheduled_at, entity_type, requested_by, unique_key, file_name, file_size, sha256,
        input_key, callback_url, parent_id, traceparent, error_kind, error_message
    )
    select
        id, created_at, clock_timestamp(), clock_timestamp(), ready_status(queue, task_type, tenant), prio, emit, attempt,
        retry_count + 1, max_retries, timeout_seconds, queue, task_type, tenant, params, scheduled_at, entity_type,
        requested_by, unique_key, file_name, file_size, sha256, input_key, callback_url, parent_id, traceparent,
        error_kind, error_message
    from started, failed
    where started.xid is not null
    on conflict (task_type, unique_key) where unique_key is not null do nothing
    returning id
), gone as (
    delete from task_history using failed
    where task_history.id = failed.id and task_history.completed_at = failed.completed_at
        and failed.id in (select id from made)
)
select
    failed.id::text as id, failed.queue, failed.attempt, failed.worker, failed.started_at, failed.completed_at,
    failed.error_kind, failed.error_message, failed.parent_id::text as parent_id, made.id is not null as retried
from failed left join made on made.id = failed.id
