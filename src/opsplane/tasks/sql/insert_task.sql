-- Create one task; its due time is read after the transaction has its xid. No row: the unique key is taken,
-- or the queue takes no new tasks and this is no child of one that is in it.
with started as materialized (select pg_current_xact_id() as xid)
insert into task (
    id, created_at, run_at, status, prio, emit, max_retries, timeout_seconds, queue, task_type, tenant, params,
    scheduled_at, entity_type, requested_by, unique_key, waits_for, waits_until, file_name, file_size, sha256, input_key,
    callback_url, parent_id, traceparent
)
select
    %(id)s, clock_timestamp(), greatest(%(scheduled_at)s::timestamptz, clock_timestamp()), case when %(status)s = 0 then ready_status(%(queue)s, %(task_type)s, %(tenant)s) else %(status)s end, %(prio)s, %(emit)s,
    %(max_retries)s, %(timeout_seconds)s, %(queue)s, %(task_type)s, %(tenant)s, %(params)s::jsonb,
    %(scheduled_at)s, %(entity_type)s, %(requested_by)s, %(unique_key)s, %(waits_for)s,
    clock_timestamp() + make_interval(secs => %(upload_timeout)s::double precision), %(file_name)s, %(file_size)s,
    %(sha256)s, %(input_key)s, %(callback_url)s, %(parent_id)s, %(traceparent)s
from started
where xid is not null and not exists (
    select from queue
    where queue.name = %(queue)s and queue.drained_at is not null
        and not exists (select from task as parent where parent.id = %(parent_id)s::uuid and parent.queue = queue.name)
)
on conflict (task_type, unique_key) where unique_key is not null do nothing
returning *
