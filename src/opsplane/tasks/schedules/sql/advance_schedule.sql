-- Note up to where a schedule is decided.
update task_schedule set decided_to = %(decided_to)s, next_at = %(next_at)s, last_task = coalesce(%(last_task)s, last_task)
where name = %(name)s
returning *, last_task::text as last_task
