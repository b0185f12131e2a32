-- Pause a queue.
insert into queue (name, paused, paused_by, paused_at, reason)
values (%(name)s, true, %(actor)s, clock_timestamp(), %(reason)s)
on conflict (name) do update set paused = true, paused_by = excluded.paused_by, paused_at = excluded.paused_at,
    reason = excluded.reason
where not queue.paused
