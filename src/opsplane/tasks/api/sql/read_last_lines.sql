-- The last lines of a task's log, oldest first.
select * from (
    select number, at, level, message, fields from task_log where task_id = %s::uuid order by number desc limit 100
) as last
order by number
