-- Let a paused schedule go on from its next time; one that is not paused stays as it is.
update task_schedule set
    decided_to = case when paused_at is null then decided_to else %(now)s end,
    next_at = case when paused_at is null then next_at else %(next_at)s end,
    paused_by = null, paused_at = null, reason = null
where name = %(name)s
returning *, last_task::text as last_task
