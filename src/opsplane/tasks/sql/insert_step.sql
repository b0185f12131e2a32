-- Keep a finished step, fenced by the claim; a step is progress, so the count of lost workers starts again.
-- The update's lock lets nobody take the task away between the look at the claim and the commit.
with held as (
    update task set rescues = 0, updated_at = clock_timestamp()
    where id = %(id)s::uuid and status + 0 = 1 and claim_token = %(token)s::bigint
    returning id
)
insert into task_step (task_id, name, attempt, result, started_at, finished_at)
select held.id, %(name)s, %(attempt)s, %(result)s::json, %(started_at)s, %(finished_at)s from held
returning name
