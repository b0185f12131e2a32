-- One schedule, held.
select *, last_task::text as last_task from task_schedule where name = %s for update
