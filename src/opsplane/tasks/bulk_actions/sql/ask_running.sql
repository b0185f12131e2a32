-- Ask those of these tasks that run, or wait for their children, to stop; never waiting for a lock.
with held as materialized (
    select id from task
    where id = any(%(ids)s::uuid[]) and status + 0 = any(%(statuses)s::integer[]) and cancel_requested_at is null
    for update skip locked
)
update task
set cancel_requested_at = clock_timestamp(), cancel_requested_by = %(actor)s::text, updated_at = clock_timestamp()
where id = any(array(select id from held)::uuid[])
returning id::text as id, attempt, status
