-- A finished task, locked until the transaction ends.
select * from task_history where id = %(id)s::uuid for update
