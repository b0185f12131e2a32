-- Claim due tasks of one queue from its marks on: level by level, by due time; never waiting for a lock.
-- A worker that was given up claims nothing: one that was stopped for long does not know it yet.
-- `status + 0` keeps the planner away from the claim index for finding tasks by their ids.
with found as materialized (
    select ready.id
    from unnest(%(levels)s::smallint[], %(ats)s::timestamptz[], %(ids)s::uuid[]) as mark (level, at, id)
    cross join lateral (
        select task.id from task
        where task.status = 0 and task.queue = %(queue)s and task.prio = mark.level
            and (task.run_at, task.id) >= (mark.at, mark.id) and task.run_at <= now()
            and task.task_type = any(%(types)s::text[])
        order by task.run_at, task.id
        limit %(limit)s
        for update skip locked
    ) as ready
    where exists (select from worker where worker.number = %(worker)s and worker.gone_at is null)
    limit %(limit)s
)
update task
set status = 1, claim_token = nextval('task_claim_token'), worker = %(worker)s, attempt = attempt + 1,
    claimed_at = clock_timestamp(), started_at = null
where id = any(array(select found.id from found)::uuid[]) and status + 0 = 0
returning
    id::text as id, task_type, claim_token as token, attempt, retry_count, max_retries, params::text as params, queue, prio,
    emit, tenant, timeout_seconds as timeout, run_at, coalesce(due_at, run_at) as due_at, created_at, claimed_at, entity_type, requested_by, file_name,
    input_key, traceparent, worker, parent_id::text as parent_id
