-- The finished steps of a task.
select name from task_step where task_id = %s
