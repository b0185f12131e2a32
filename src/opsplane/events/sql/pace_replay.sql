-- When the next event of a replay is due; time lost while nothing could be sent is not made up for.
update replay
set due_at = greatest(due_at, clock_timestamp() - interval '1 second')
             + case when rate is null then interval '0' else make_interval(secs => %(sent)s / rate) end
where id = %(replay)s
