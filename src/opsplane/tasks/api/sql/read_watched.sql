-- The watched tasks as they are now; a task that is missing was deleted.
select * from any_task where id = any(%s::uuid[])
