-- Let a queue run again, and take new tasks.
update queue
set paused = false, paused_by = null, paused_at = null, reason = null, drained_by = null, drained_at = null, drain_reason = null
where name = %(name)s and (paused or drained_at is not null)
