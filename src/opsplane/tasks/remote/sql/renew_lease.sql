-- Renew a remote worker's lease and note what it tells, null being what it does not; no row: it is gone, or another's.
update worker
set beat = beat + 1, beat_at = clock_timestamp(),
    lease_until = clock_timestamp() + coalesce(%(lease)s::double precision, lease_seconds) * interval '1 second',
    lease_seconds = coalesce(%(lease)s::double precision, lease_seconds),
    task_types = coalesce(%(types)s::text[], task_types), slots = coalesce(%(slots)s::integer, slots),
    running = coalesce(%(running)s::integer, running), stopping = coalesce(%(stopping)s::boolean, stopping)
where number = %(number)s and owner = %(owner)s and gone_at is null
returning number, lease_until as until, lease_seconds as seconds
