-- One schedule.
select *, last_task::text as last_task from task_schedule where name = %s
