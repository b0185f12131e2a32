-- What a task owes its receiver.
select * from task_callback where task_id = %s::uuid
