-- Running tasks that do not get on, by how: each task counts once, as the first of the four kinds it is.
with running as (
    select task.id, task.task_type, task.worker,
        coalesce(task.started_at, task.claimed_at) as since,
        case
            when (worker.number is null or worker.gone_at is not null)
                and coalesce(worker.gone_at, task.claimed_at) < clock_timestamp() - make_interval(secs => %(margin)s)
                then 'orphaned'
            when coalesce(task.started_at, task.claimed_at) + make_interval(secs => task.timeout_seconds + %(margin)s)
                < clock_timestamp() then 'overdue'
            when task.cancel_requested_at < clock_timestamp() - make_interval(secs => %(cancel)s) then 'deaf'
            when greatest(task.claimed_at, task.started_at, task.updated_at)
                < clock_timestamp() - make_interval(secs => %(still)s) then 'still'
        end as kind
    from task
    left join worker on worker.number = task.worker
    where task.status = 1
)
select kind, count(*) as count, min(since) as since, (array_agg(id::text order by since))[1:5] as tasks,
    array_agg(distinct task_type) as types, array_agg(distinct worker) as workers
from running
where kind is not null
group by kind
order by kind
