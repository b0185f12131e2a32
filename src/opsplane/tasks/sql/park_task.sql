-- Have a running task wait for its children, without a worker; nothing claims it until they are done.
update task
set status = 6, waits_for = 'children', claim_token = null, claimed_at = null, rescues = 0,
    started_at = coalesce(started_at, claimed_at + %(delay)s * interval '1 microsecond'), updated_at = clock_timestamp(),
    total_records = %(total)s, processed_records = %(processed)s, failed_records = %(failed)s
where id = %(id)s::uuid
