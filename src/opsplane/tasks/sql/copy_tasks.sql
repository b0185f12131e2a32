-- Create many tasks at once.
copy task (
    id, created_at, run_at, status, prio, emit, max_retries, timeout_seconds, queue, task_type, tenant, params,
    scheduled_at, entity_type, requested_by, callback_url, parent_id, traceparent
) from stdin
