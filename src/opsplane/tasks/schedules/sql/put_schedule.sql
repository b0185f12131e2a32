-- Make or change a schedule. Its times are decided from now on when they changed, else from where they were.
insert into task_schedule as kept (
    name, cron, zone, overlap, missed, grace_seconds, task_type, entity_type, params, queue, priority, max_retries,
    timeout_seconds, tenant, requested_by, decided_to, next_at, updated_by
) values (
    %(name)s, %(cron)s, %(zone)s, %(overlap)s, %(missed)s, %(grace_seconds)s, %(task_type)s, %(entity_type)s,
    %(params)s, %(queue)s, %(priority)s, %(max_retries)s, %(timeout_seconds)s, %(tenant)s, %(requested_by)s,
    %(now)s, %(next_at)s, %(actor)s
)
on conflict (name) do update set
    decided_to = case when (kept.cron, kept.zone) = (excluded.cron, excluded.zone) then kept.decided_to
                      else excluded.decided_to end,
    next_at = case when (kept.cron, kept.zone) = (excluded.cron, excluded.zone) then kept.next_at
                   else excluded.next_at end,
    cron = excluded.cron, zone = excluded.zone, overlap = excluded.overlap, missed = excluded.missed,
    grace_seconds = excluded.grace_seconds, task_type = excluded.task_type, entity_type = excluded.entity_type,
    params = excluded.params, queue = excluded.queue, priority = excluded.priority,
    max_retries = excluded.max_retries, timeout_seconds = excluded.timeout_seconds, tenant = excluded.tenant,
    requested_by = excluded.requested_by, updated_at = clock_timestamp(), updated_by = excluded.updated_by
returning *, last_task::text as last_task
