-- Every queue, tenant and type that has held tasks, each found by one step in their index.
with recursive found as (
    (select queue, tenant, task_type from task where status = 7 order by queue, tenant, task_type limit 1)
    union all
    select next.* from found cross join lateral (
        select task.queue, task.tenant, task.task_type from task
        where status = 7 and (task.queue, task.tenant, task.task_type) > (found.queue, found.tenant, found.task_type)
        order by task.queue, task.tenant, task.task_type limit 1
    ) as next
)
select queue, tenant, task_type from found
