-- What a finished step returned, as its text.
select result::text as result from task_step where task_id = %s and name = %s
