-- Let a queue run again.
update queue set paused = false, paused_by = null, paused_at = null, reason = null where name = %(name)s and paused
