-- Lift a limit.
delete from task_limit where kind = %s and name = %s
