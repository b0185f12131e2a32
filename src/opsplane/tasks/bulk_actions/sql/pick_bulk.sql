-- The bulk action to go on with: one that was interrupted, else the first that waits. It is ours from now on.
with next as (
    select id from task
    where task_type = %(kind)s and ((status = 1 and worker is null) or (status in (0, 7) and queue = %(queue)s and run_at <= now()))
    order by (status = 1) desc, id
    limit 1
    for update skip locked
)
update task
set status = 1, claim_token = nextval('task_claim_token'), attempt = attempt + 1, worker = null,
    claimed_at = clock_timestamp(), started_at = coalesce(started_at, clock_timestamp()), updated_at = clock_timestamp()
where id = (select id from next)
returning id::text as id, claim_token as token, task_type, attempt, emit, queue, claimed_at, started_at, requested_by, params::text as params
