-- A schedule of which a time has come, held against other schedulers, and whether its last task is unfinished.
select *, last_task::text as last_task, exists (select from task where task.id = last_task) as busy
from task_schedule
where paused_at is null and next_at <= %(now)s
order by next_at
limit 1
for update of task_schedule skip locked
