-- Ask the worker of a running task to stop it; asking twice changes nothing.
update task
set cancel_requested_at = coalesce(cancel_requested_at, clock_timestamp()),
    cancel_requested_by = coalesce(cancel_requested_by, %(actor)s::text), updated_at = clock_timestamp()
where id = %(id)s::uuid and status in (1, 6)
returning *
