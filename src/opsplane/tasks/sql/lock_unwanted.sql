-- Children that no worker has, of waiting parents that were cancelled; locked.
select child.*, parent.cancel_requested_by as actor
from task as parent
join fan_out on fan_out.parent_id = parent.id and fan_out.joined_at is null
join task as child on child.parent_id = parent.id and child.id between fan_out.first_id and fan_out.last_id
where parent.status = 6 and parent.cancel_requested_at is not null and child.status in (0, 2, 7)
order by child.id
limit %(limit)s
for update of child skip locked
