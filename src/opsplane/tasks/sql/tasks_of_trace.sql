-- The tasks of a trace, and those created with an idempotency key.
with keyed as (select task_id from task_idempotency where key = %(key)s),
known as (
    select id, task_type, queue, created_at, started_at, null::timestamptz as completed_at, status, attempt,
           error_message
    from task
    where substring(traceparent from 4 for 32) = %(trace)s or id in (select task_id from keyed)
    union all
    select id, task_type, queue, created_at, started_at, completed_at, status, attempt, error_message
    from task_history
    where substring(traceparent from 4 for 32) = %(trace)s or id in (select task_id from keyed)
)
select * from known order by created_at, id limit %(limit)s
