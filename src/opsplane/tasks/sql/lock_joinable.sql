-- Waiting parents whose children are all done, locked.
select fan_out.number as fan_out, fan_out.name, fan_out.total, fan_out.completed, fan_out.failed, fan_out.cancelled, task.*
from fan_out
join task on task.id = fan_out.parent_id
where fan_out.joined_at is null and fan_out.completed + fan_out.failed + fan_out.cancelled >= fan_out.total
    and task.status + 0 = 6
order by fan_out.number
limit %(limit)s
for update of task skip locked
