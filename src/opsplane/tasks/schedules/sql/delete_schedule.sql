-- Forget a schedule and what was decided at its times.
delete from task_schedule where name = %s
