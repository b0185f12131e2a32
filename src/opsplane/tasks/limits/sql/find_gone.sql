-- Which of the tasks that were let go neither wait for a worker nor run any more.
select told.id::text as id from unnest(%(ids)s::uuid[]) as told (id)
where not exists (select from task where task.id = told.id and task.status in (0, 1))
