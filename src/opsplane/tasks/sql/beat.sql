-- A worker is there; no row when its lease was found free and its tasks were taken.
update worker
set beat = beat + 1, beat_at = clock_timestamp(), running = %(running)s, stopping = %(stopping)s
where number = %(number)s and gone_at is null
returning number
