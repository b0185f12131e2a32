-- Lines of a task's log after a number, oldest first.
select number, at, level, message, fields from task_log
where task_id = %s::uuid and number > %s::bigint
order by number
limit %s::integer
