-- Pause a schedule; who paused it first stays.
update task_schedule set paused_by = coalesce(paused_by, %(actor)s), paused_at = coalesce(paused_at, clock_timestamp()),
    reason = case when paused_at is null then %(reason)s else reason end
where name = %(name)s
returning *, last_task::text as last_task
