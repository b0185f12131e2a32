-- What was decided at the last times of a schedule.
select due_at, at, outcome, task_id::text as task_id, detail
from task_schedule_run where schedule = %s order by due_at desc limit %s
