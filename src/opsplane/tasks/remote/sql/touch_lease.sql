-- Renew the lease of a remote worker that called, once a quarter of it has passed.
update worker
set beat = beat + 1, beat_at = clock_timestamp(), lease_until = clock_timestamp() + lease_seconds * interval '1 second'
where number = %(number)s and gone_at is null
    and lease_until < clock_timestamp() + 0.75 * lease_seconds * interval '1 second'
