-- The finished task a message is about, found in its day's partition.
select * from task_history where id = %(task_id)s::uuid and completed_at = %(finished_at)s
