-- One task, finished or not.
select * from any_task where id = %s
