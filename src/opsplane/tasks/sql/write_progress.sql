-- Progress told from outside the worker, which clears the count of lost workers; refused when a claim token is given
-- and is not the running attempt's.
update task
set total_records = coalesce(%(total)s::bigint, total_records),
    processed_records = coalesce(%(processed)s::bigint, processed_records),
    failed_records = coalesce(%(failed)s::bigint, failed_records),
    message = coalesce(%(message)s::text, message),
    rescues = case when %(processed)s::bigint > processed_records then 0 else rescues end, updated_at = clock_timestamp()
where id = %(id)s::uuid and status = 1 and (%(token)s::bigint is null or claim_token = %(token)s::bigint)
returning *
