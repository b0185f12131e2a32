-- Make messages whose try was broken off due at once, if they are still of these leases.
update task_callback set due_at = clock_timestamp()
from unnest(%(ids)s::uuid[], %(leases)s::timestamptz[]) as broken (id, lease)
where task_callback.id = broken.id and state = 'waiting' and due_at = broken.lease
