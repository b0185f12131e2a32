-- Every schedule with what was decided at its last time.
select name, cron, zone, task_type, next_at, paused_by, paused_at, reason, last.due_at, last.outcome, last.detail
from task_schedule
left join lateral (
    select due_at, outcome, detail from task_schedule_run where schedule = task_schedule.name order by due_at desc limit 1
) as last on true
order by name
