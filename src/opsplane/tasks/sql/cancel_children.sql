-- Ask the running and waiting children of cancelled parents to stop; those asked before are left alone.
with asked as materialized (
    select child.id, parent.cancel_requested_by as actor
    from task as parent
    join fan_out on fan_out.parent_id = parent.id and fan_out.joined_at is null
    join task as child on child.parent_id = parent.id and child.id between fan_out.first_id and fan_out.last_id
    where parent.status = 6 and parent.cancel_requested_at is not null and child.status in (1, 6)
        and child.cancel_requested_at is null
    for update of child skip locked
)
update task
set cancel_requested_at = clock_timestamp(), cancel_requested_by = asked.actor, updated_at = clock_timestamp()
from asked
where task.id = asked.id
returning task.id::text as id, task.attempt, asked.actor
