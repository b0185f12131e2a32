-- Finished tasks from before a moment that have files, in the order of their ids.
select id::text as id, tenant from task_history
where completed_at < %(before)s and id > %(after)s::uuid
    and (input_key is not null or result_file is not null or error_file is not null)
order by id
limit %(limit)s
