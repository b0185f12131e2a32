-- Note remote workers as gone whose lease has ended; each had the length of its lease to call since the given time.
update worker set gone_at = clock_timestamp(), gone_reason = %(reason)s, running = 0
where gone_at is null and lease_until is not null
    and greatest(lease_until, %(since)s::timestamptz + lease_seconds * interval '1 second') < clock_timestamp()
returning number
