-- An unfinished task, locked until the transaction ends.
select * from task where id = %(id)s::uuid for update
