-- A worker left; the first reason stays.
update worker set gone_at = clock_timestamp(), gone_reason = %(reason)s, running = 0
where number = %(number)s and gone_at is null
