-- How many messages wait for their receiver.
select count(*) as waiting from task_callback where state = 'waiting'
