-- Write the start and the counts of running attempts; progress clears the count of lost workers. Returns those held.
with told as (
    select * from unnest(
        %(ids)s::uuid[], %(tokens)s::bigint[], %(delays)s::bigint[], %(totals)s::bigint[], %(processed)s::bigint[],
        %(failed)s::bigint[], %(messages)s::text[]
    ) as told (id, token, delay, total, processed, failed, message)
)
update task
set started_at = coalesce(task.started_at, task.claimed_at + told.delay * interval '1 microsecond'),
    total_records = coalesce(told.total, task.total_records),
    processed_records = coalesce(told.processed, task.processed_records),
    failed_records = coalesce(told.failed, task.failed_records),
    message = coalesce(told.message, task.message),
    rescues = case when told.processed > task.processed_records then 0 else task.rescues end,
    updated_at = clock_timestamp()
from told
where task.id = any(%(ids)s::uuid[]) and told.id = task.id and task.status + 0 = 1 and task.claim_token = told.token
returning task.claim_token as token, task.cancel_requested_at is not null as cancel
