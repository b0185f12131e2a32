-- Every queue that has a claimable task, each found by one step in the claim index.
with recursive found as (
    (select queue from task where status = 0 order by queue limit 1)
    union all
    select (select task.queue from task where status = 0 and task.queue > found.queue order by task.queue limit 1)
    from found
    where found.queue is not null
)
select queue from found where queue is not null
