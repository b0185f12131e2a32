-- Forget what was owed for the tasks of a partition that is about to be dropped.
delete from task_callback where task_id in (select id from {name} where callback_url is not null)
