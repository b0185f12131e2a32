-- Workers that are there, and those that went within the last hour.
select
    number, name, host, pid, task_types, slots, running, beat, beat_at, started_at, stopping, gone_at, gone_reason,
    owner, lease_until
from worker
where gone_at is null or gone_at > now() - interval '1 hour'
order by number
