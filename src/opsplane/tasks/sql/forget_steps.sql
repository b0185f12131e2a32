-- Forget the steps of the tasks of a partition that is about to be dropped.
delete from task_step where task_id in (select id from {name})
