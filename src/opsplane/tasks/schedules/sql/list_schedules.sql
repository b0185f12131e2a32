-- All schedules.
select *, last_task::text as last_task from task_schedule order by name
