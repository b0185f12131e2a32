-- All that could hold up a task. A task is ahead when it is due in the same queue and would be claimed first; of a held
-- one, when it is held in the same queue for the same tenant.
with wanted as (
    select id, status, task_type, queue, tenant, prio, run_at, scheduled_at, waits_until, started_at, null::timestamptz as completed_at,
        cancel_requested_at, attempt, retry_count, max_retries, error_message, worker
    from task where id = %(id)s::uuid
    union all
    select id, status, task_type, queue, tenant, prio, null, scheduled_at, null, started_at, completed_at,
        cancel_requested_at, attempt, retry_count, max_retries, error_message, worker
    from task_history where id = %(id)s::uuid
)
select
    wanted.status, wanted.task_type, wanted.queue, wanted.tenant, clock_timestamp() as now, wanted.run_at, wanted.scheduled_at,
    wanted.waits_until, wanted.started_at, wanted.completed_at, wanted.cancel_requested_at, wanted.attempt,
    wanted.retry_count, wanted.max_retries, wanted.error_message,
    (select name from worker where number = wanted.worker) as worker,
    queue.paused_by, queue.paused_at, queue.reason as pause_reason, queue.drained_by, queue.drained_at, queue.drain_reason,
    coalesce(family.total, 0) as children, coalesce(family.total - family.done, 0) as children_open,
    able.workers, able.slots, able.running,
    coalesce(limits.found, '[]') as limits,
    case when wanted.status in (0, 7) then (
        select count(*) from (
            select from task
            where status = wanted.status and (wanted.status = 0 or task.tenant = wanted.tenant) and task.queue = wanted.queue and run_at <= clock_timestamp() and task.id <> wanted.id
                and (task.prio, task.run_at, task.id) < (wanted.prio, wanted.run_at, wanted.id)
            limit %(limit)s
        ) as first
    ) else 0 end as ahead
from wanted
left join queue on queue.name = wanted.queue
left join lateral (
    select total, completed + failed + cancelled as done
    from fan_out_now where parent_id = wanted.id and joined_at is null
    order by number desc limit 1
) as family on wanted.status = 6
left join lateral (
    select json_agg(json_build_object(
        'kind', kind, 'name', name, 'concurrency', concurrency, 'rate', rate, 'per_seconds', per_seconds, 'taken', (
            select count(*) from task
            where status in (0, 1) and case kind
                when 'queue' then task.queue = name when 'type' then task.task_type = name else task.tenant = wanted.tenant
            end
        )
    ) order by kind) as found
    from task_limit
    where (kind = 'queue' and name = wanted.queue) or (kind = 'type' and name = wanted.task_type)
        or (kind = 'tenant' and name = coalesce(
            (select own.name from task_limit as own where own.kind = 'tenant' and own.name = wanted.tenant), '*'
        ))
) as limits on wanted.status = 7
cross join lateral (
    select count(*) as workers, coalesce(sum(slots), 0) as slots, coalesce(sum(running), 0) as running
    from worker where gone_at is null and not stopping and wanted.task_type = any(task_types)
) as able
